// Included by attention.cpp, inside its namespace: packed keys, blocks of queries, and which
// stretches of keys they need.

constexpr int QUERIES = 8 * TILE;           // in a block: a multiple of PANEL
constexpr size_t WINDOW_BYTES = 384 << 10;  // of packed panels, for a second-level cache
constexpr int PART = 2048;                  // places that one thread takes at a time, at least

// Packed panels of the round in hand, at slot panel % slots.
template <class T> struct Window {
  using Int = typename Simd<T>::Int;
  static constexpr int PANEL = Simd<T>::PANEL;
  const int width, columns;
  const int most_earlier;  // rounds before the last, if a pair counts once (log N_ij, eq. 16)
  int earlier = 0;         // rounds before the one in hand: what met there counted there
  const int slots;   // a power of two
  Buffer<T> rows, keys, keys_t, values, values_t, dkeys, dvalues;
  Buffer<Int> places;  // the position, the place in this round, then those in earlier ones
  std::vector<int> held;

  Window(const Problem& p, bool backward)
      : width(p.width),
        columns(padded<T>(p.width)),
        most_earlier(p.correct_duplicates ? p.rounds - 1 : 0),
        slots(size() * sizeof(T) * (backward ? 5 : 2) * 32 > WINDOW_BYTES ? 16 : 32),
        rows(size()),
        keys(backward * slots * size()),
        keys_t(slots * size()),
        values(!backward * slots * size()),
        values_t(backward * slots * size()),
        dkeys(backward * slots * size()),
        dvalues(backward * slots * size()),
        places(slots * (most_earlier + 2) * PANEL),
        held(slots, -1) {}

  int slot(int panel) const { return panel & (slots - 1); }
  size_t size() const { return size_t(PANEL) * columns; }
  T* at(const Buffer<T>& buffer, int panel) const { return buffer.get() + slot(panel) * size(); }
  Int* places_of(int panel) const {
    return places.get() + size_t(slot(panel)) * (most_earlier + 2) * PANEL;
  }

  void pack(const Problem& p, const List<T>& list, const Runs& runs, int round, int panel) {
    const int32_t* positions = list.order + round * p.length + int64_t(panel) * PANEL;
    const int n = std::min<int64_t>(PANEL, p.length - int64_t(panel) * PANEL);
    Int* known = places_of(panel);
    T* key_rows = keys.get() ? at(keys, panel) : rows.get();
    T* value_rows = values.get() ? at(values, panel) : rows.get();
    for (int j = 0; j < PANEL; ++j) {
      const int64_t position = j < n ? positions[j] : 0;
      known[j] = position;
      const int32_t* run = runs.of(position, 0);
      known[PANEL + j] = j < n ? run[round * runs.fields] : -1;  // no run holds place -1
      for (int r = 0; r < earlier; ++r)
        known[(r + 2) * PANEL + j] = j < n ? run[r * runs.fields] : -1;
      const T *q = list.q[position], scale = T(p.scale) * inverse_norm(q, width);
      for (int w = 0; w < width; ++w) key_rows[j * columns + w] = scale * q[w];
    }
    transpose(key_rows, columns, at(keys_t, panel));
    for (int j = 0; j < PANEL; ++j)
      std::copy_n(list.v[j < n ? positions[j] : 0], width, value_rows + j * columns);
    if (values_t.get()) transpose(value_rows, columns, at(values_t, panel));
  }
};

template <class T> struct Query {
  using I = typename Simd<T>::Integers;
  using Int = typename Simd<T>::Int;
  static constexpr int PANEL = Simd<T>::PANEL;
  int position, low, high;
  Int place, limit;       // keys from position `limit` on are hidden
  const int32_t* bounds;  // its runs in earlier rounds, `step` apart
  int earlier, step;

  // Which of a vector of keys does it attend to, of those in the run [low, high)? A pair that meets
  // in several rounds is to count as one (log N_ij): it counts in the first of them.
  I attends(const Int* known) const {
    const I place_here = ints(known + PANEL);
    I counts = (ints(known) < limit) & (place_here != place) & (place_here >= Int(low)) &
               (place_here < Int(high));
    const int32_t *b = bounds, *end = bounds + earlier * step;
    for (const Int* at = known + 2 * PANEL; b != end; b += step, at += PANEL) {
      I met = (ints(at) >= Int(b[0])) & (ints(at) < Int(b[1]));
      if (step > 2) met |= (ints(at) >= Int(b[2])) & (ints(at) < Int(b[3]));
      counts &= ~met;
    }
    return counts;
  }

  static I ints(const Int* from) {
    return *reinterpret_cast<const typename Simd<T>::IntegersAnywhere*>(from);
  }
};

struct Span {  // of places
  int low = std::numeric_limits<int>::max(), high = 0;
  void include(int from, int to) {
    if (from < to) low = std::min(low, from), high = std::max(high, to);
  }
};

template <class T> struct Block {  // consecutive queries of one round
  static constexpr int PANEL = Simd<T>::PANEL;
  static_assert(QUERIES % PANEL == 0);  // or two parts would own one panel
  const Problem& p;
  const List<T>& list;
  const Runs& runs;
  int round = 0, n = 0;
  const int32_t *coming = nullptr, *coming_end = nullptr;  // positions of the next block
  Window<T> window;
  Query<T> queries[QUERIES];
  Span spans[QUERIES / TILE];
  std::vector<int32_t> bounds;
  std::vector<Table<T>> rows_fetched;
  Buffer<T> q;

  Block(const Problem& p, const List<T>& list, const Runs& runs, bool backward)
      : p(p),
        list(list),
        runs(runs),
        window(p, backward),
        bounds(QUERIES * window.most_earlier * (runs.fields - 1)),
        rows_fetched(backward ? std::vector<Table<T>>{list.q, list.v, list.dout, list.dq, list.dv}
                              : std::vector<Table<T>>{list.q, list.v, list.out}),
        q(QUERIES * window.columns) {}

  void begin(int r) {
    round = r;
    window.earlier = std::min(r, window.most_earlier);
    std::fill(window.held.begin(), window.held.end(), -1);
  }

  // Packs the queries from place `first` on, zeros where there are none.
  void start(int first) {
    n = std::min<int64_t>(QUERIES, p.length - first);
    const int32_t* positions = list.order + round * p.length + first;
    coming = positions + n;
    coming_end = positions + std::min<int64_t>(2 * QUERIES, p.length - first);
    for (int i = 0; i < n; ++i) {
      const int position = positions[i], step = runs.fields - 1;
      int32_t* kept = bounds.data() + i * window.earlier * step;
      const typename Simd<T>::Int limit = p.causal ? position : p.valid_length;
      queries[i] = {position, 0, 0, first + i, limit, kept, window.earlier, step};
      for (int r = 0; r < window.earlier; ++r, kept += step)
        std::copy_n(runs.of(position, r) + 1, step, kept);
      pack(list.q, i, q.get());
    }
    std::fill(q.get() + n * window.columns, q.get() + QUERIES * window.columns, T(0));
  }

  // Fetches into the cache what one query of the next block needs. Called between the computations
  // of this block: fetched all at once, rows would wait for each other.
  void fetch_coming() {
    if (coming == coming_end) return;
    const int position = *coming++;
    __builtin_prefetch(runs.of(position, 0));
    __builtin_prefetch(list.z + position);
    if (list.delta) __builtin_prefetch(list.delta + position);
    for (const auto& table : rows_fetched) prefetch(table[position], window.width);
  }

  void pack(const Table<T>& table, int i, T* to) const {
    std::copy_n(table[queries[i].position], window.width, to + i * window.columns);
  }

  // body(first panel, last) for every stretch of keys that the window can hold.
  template <class Hold, class Body> void over_keys(Hold&& hold, Body&& body) {
    over_runs(1, hold, body);
    if (runs.fields == 5) over_runs(3, hold, body);
  }

  template <class Hold, class Body> void over_runs(int field, Hold&& hold, Body&& body) {
    Span whole;
    for (auto& span : spans) span = Span();
    for (int i = 0; i < n; ++i) {
      const int32_t* run = runs.of(queries[i].position, round) + field;
      queries[i].low = run[0], queries[i].high = run[1];
      spans[i / TILE].include(run[0], run[1]);
      whole.include(run[0], run[1]);
    }
    if (whole.low >= whole.high) return;
    const int last = (whole.high + PANEL - 1) / PANEL;
    for (int from = whole.low / PANEL; from < last; from += window.slots) {
      const int to = std::min(last, from + window.slots);
      for (int panel = from; panel < to; ++panel) hold(panel);
      body(from, to);
    }
  }

  // The places of a tile's keys among the panels [from, to).
  Span keys_of(int tile, int from, int to) const {
    return {std::max(spans[tile].low, from * PANEL), std::min(spans[tile].high, to * PANEL)};
  }

  // out[row] += sum over the places of weights[row][place - origin] * rows[place], in runs without
  // a seam.
  void combine_keys(const T* weights, int64_t ld, int origin, Span places, const Buffer<T>& rows,
                    T* out) const {
    const int seam = window.slots * PANEL;
    for (int s = places.low; s < places.high;) {
      const int end = std::min(places.high, (s / seam + 1) * seam);
      combine<T, TILE>(weights + s - origin, ld, 1, rows.get() + size_t(s % seam) * window.columns,
                       window.columns, end - s, out);
      s = end;
    }
  }
};

// One worker for each thread, made when it first has something to do.
template <class W> struct Workers {
  std::vector<std::unique_ptr<W>> made;
  explicit Workers(int threads) : made(threads) {}
  template <class... A> W& of(int thread, A&&... arguments) {
    if (!made[thread]) made[thread] = std::make_unique<W>(std::forward<A>(arguments)...);
    return *made[thread];
  }
};
