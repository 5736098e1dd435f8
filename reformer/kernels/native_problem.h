// Included by native.cpp, inside its namespace: what is asked, one list of it, and which keys a
// query has.

struct Rows {  // a (batch, heads, length, width) tensor; strides in elements, the last is 1
  void* data;
  int64_t batch, head, row;
};

struct Problem {  // mirrored in native.py
  Rows q, v, out, dout, dq, dv;
  void* z;                      // (batch, heads, length): log-normalisers
  const int32_t *order, *ends;  // (batch, heads, rounds, length), (batch, heads, rounds, buckets)
  int64_t batch, heads, length, width, rounds, buckets, chunk_length, chunks_before, valid_length;
  int64_t causal, within_bucket, correct_duplicates, threads;
  double scale;
};

template <class T> struct Table {
  T* data;
  int64_t stride;
  T* operator[](int64_t position) const { return data + position * stride; }
};

// One head of one sequence: its rows in the tensors, or, for a list that has outgrown the caches,
// copies of them, all that the kernel needs of a position side by side in one record. Attention
// reads positions in the order of the hash, at random, and there a record costs little more than
// the row of one tensor.
template <class T> struct List {
  Table<T> q, v, out, dout, dq, dv;  // out is forward's, the last three are backward's
  T* z;
  const int32_t *order, *ends;
  std::vector<T> key_scale;  // the key is this times q: scale / |q|

  // records: null, or room for n_values(p), which lists may use one after the other.
  List(const Problem& p, int64_t index, T* records, int threads)
      : z(static_cast<T*>(p.z) + index * p.length),
        order(p.order + index * p.rounds * p.length),
        ends(p.ends + index * p.rounds * p.buckets),
        key_scale(p.length),
        p(p),
        index(index),
        threads(threads),
        has_records(records) {
    auto place = [&](const Rows& x) {
      if (!has_records) return given(x);
      T* const column = std::exchange(records, records + padded<T>(p.width));
      return Table<T>{column, int64_t(n_values(p) / p.length)};
    };
    q = place(p.q), v = place(p.v);
    if (is_backward(p))
      dout = place(p.dout), dq = place(p.dq), dv = place(p.dv);
    else
      out = place(p.out);
    const auto given_q = given(p.q), given_v = given(p.v), given_dout = given(p.dout);
    over_positions([&](int64_t i) {
      if (has_records) {
        copy(given_q, q, i), copy(given_v, v, i);
        if (is_backward(p)) copy(given_dout, dout, i);
      }
      key_scale[i] = T(p.scale) / std::max(std::sqrt(dot(q[i], q[i], p.width)), T(1e-12));
    });
  }

  static size_t n_values(const Problem& p) {
    return p.length * padded<T>(p.width) * (is_backward(p) ? 5 : 3);
  }

  // Its rows in a tensor.
  Table<T> given(const Rows& x) const {
    return {static_cast<T*>(x.data) + index / p.heads * x.batch + index % p.heads * x.head, x.row};
  }

  void copy(const Table<T>& from, const Table<T>& to, int64_t position) const {
    std::copy_n(from[position], p.width, to[position]);
  }

  // The row of a position is complete: to the tensor with it.
  void hand_over(const Table<T>& row, const Rows& x, int64_t position) const {
    if (has_records) copy(row, given(x), position);
  }

  template <class F> void over_positions(F&& body) const {
    constexpr int64_t PIECE = 4096;
    parallel(threads, (p.length + PIECE - 1) / PIECE, [&](int piece, int) {
      const int64_t end = std::min(p.length, (piece + 1) * PIECE);
      for (int64_t i = piece * PIECE; i < end; ++i) body(i);
    });
  }

 private:
  static bool is_backward(const Problem& p) { return p.dout.data; }

  const Problem& p;
  const int64_t index;
  const int threads;
  const bool has_records;
};

// Of every position and round: its place, then the places [low, high) of its keys; where windows
// reach around the edge of the round, a second such run. By position, so that one line of cache
// holds what a pair needs.
struct Runs {
  int rounds, fields;
  Buffer<int32_t> values;

  // A key around the edge in the same bucket comes later in the sequence: never a cause.
  explicit Runs(const Problem& p)
      : rounds(p.rounds),
        fields(p.chunks_before && !(p.causal && p.within_bucket) ? 5 : 3),
        values(p.length * rounds * fields, false) {}

  const int32_t* of(int position, int round) const {
    return values.get() + (int64_t(position) * rounds + round) * fields;
  }

  void fill(const Problem& p, const int32_t* order, const int32_t* ends, int round) {
    const int L = p.length, M = p.chunk_length;
    const int32_t* order_L = order + int64_t(round) * L;
    int start = 0;
    for (int bucket = 0; bucket < p.buckets; ++bucket) {
      const int end = ends[round * p.buckets + bucket];
      const int from = p.within_bucket ? start : 0, to = p.within_bucket ? end : L;
      for (int s = start; s < end; ++s) {
        const int chunk = s / M, first = (chunk - int(p.chunks_before)) * M;
        int32_t* run = values.get() + (int64_t(order_L[s]) * rounds + round) * fields;
        run[0] = s;
        run[1] = std::max({first, from, 0});
        run[2] = p.causal && p.within_bucket ? s : std::min((chunk + 1) * M, to);
        if (fields == 3) continue;
        run[3] = first < 0 ? std::max(first + L, from) : 0;
        run[4] = first < 0 ? to : 0;
      }
      start = end;
    }
  }
};
