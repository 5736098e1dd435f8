// Included by attention.cpp, inside its namespace: what is asked, one list of it, and which keys a
// query has.

struct Rows {  // a (batch, heads, length, width) tensor; strides in elements, the last is 1
  void* data;
  int64_t batch, head, row;
};

struct Problem {  // mirrored in kernel.py
  Rows q, v, out, dout, dq, dv;
  void* z;                      // (batch, heads, length): log-normalisers
  const int32_t *order, *ends;  // (batch, heads, rounds, length), (batch, heads, rounds, buckets)
  int64_t batch, heads, length, width, rounds, buckets, chunk_length, chunks_before, valid_length;
  int64_t causal, within_bucket, correct_duplicates, threads;
  double scale;

  bool is_backward() const { return dout.data; }
};

template <class T> struct Table {
  T* data = nullptr;
  int64_t stride = 0;
  T* operator[](int64_t position) const { return data + position * stride; }
};

// One head of one sequence: its rows in the tensors.
template <class T> struct List {
  Table<T> q, v, out, dout, dq, dv;  // the last three are backward's
  T *z, *delta = nullptr;            // log-normalisers; dout . out, backward's
  const int32_t *order, *ends;

  List(const Problem& p, int64_t index)
      : z(static_cast<T*>(p.z) + index * p.length),
        order(p.order + index * p.rounds * p.length),
        ends(p.ends + index * p.rounds * p.buckets) {
    auto rows = [&](const Rows& x) {
      T* const data = static_cast<T*>(x.data);
      if (!data) return Table<T>{};
      return Table<T>{data + index / p.heads * x.batch + index % p.heads * x.head, x.row};
    };
    q = rows(p.q), v = rows(p.v), out = rows(p.out);
    dout = rows(p.dout), dq = rows(p.dq), dv = rows(p.dv);
  }
};

// The key of a query is scale times this times it; a query without a direction is no key.
template <class T> T inverse_norm(const T* query, int width) {
  const T norm = std::sqrt(dot(query, query, width));
  return norm > T(1e-12) ? 1 / norm : T(0);
}

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
