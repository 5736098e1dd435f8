// Included by attention.cpp, inside its namespace: the forward pass.

// Softmax weights of one query over the panels [from, to), in place of its logits, not yet divided
// by their sum.
template <class T>
T weigh(const Query<T>& query, const Window<T>& window, int from, int to, T* logits, T* highest) {
  using V = typename Simd<T>::Vector;
  constexpr int LANES = Simd<T>::LANES;
  constexpr T INFINITE = std::numeric_limits<T>::infinity();
  V maxima = V{} - INFINITE;
  T* at = logits;
  for (int panel = from; panel < to; ++panel) {
    const auto* known = window.places_of(panel);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half, at += LANES, known += LANES) {
      const V masked = query.attends(known) ? load(at) : V{} - INFINITE;
      store(at, masked);
      maxima = larger<T>(masked, maxima);
    }
  }
  *highest = largest_of<T>(maxima);
  if (*highest == -INFINITE) {
    std::fill(logits, at, T(0));
    return 0;
  }
  const V top = V{} + *highest;
  V sums = {};
  at = logits;
  for (int panel = from; panel < to; ++panel) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half, at += LANES) {
      const V weights = exponential<T>(load(at) - top);
      store(at, weights);
      sums += weights;
    }
  }
  return sum_of<T>(sums);
}

// Merges what a query found in a stretch of keys into its output: eq. 14 over rounds, as they come.
template <class T>
void merge(const Query<T>& query, const List<T>& list, int width, T highest, T sum,
           const T* found) {
  T& z = list.z[query.position];
  T* __restrict out = list.out[query.position];
  const bool first = z == -std::numeric_limits<T>::infinity();
  const T top = first ? highest : std::max(z, highest);
  const T before = first ? T(0) : std::exp(z - top), here = std::exp(highest - top);
  const T total = before + here * sum;
  z = top + std::log(total);
  const T kept = before / total, share = here / total;
  if (first)
    for (int w = 0; w < width; ++w) out[w] = share * found[w];
  else
    for (int w = 0; w < width; ++w) out[w] = kept * out[w] + share * found[w];
}

template <class T> struct Forward : Block<T> {
  Buffer<T> logits, found;

  Forward(const Problem& p, const List<T>& list, const Runs& runs)
      : Block<T>(p, list, runs, false),
        logits(TILE * ld()),
        found(TILE * this->window.columns) {}

  int ld() const { return (this->window.slots + 1) * Block<T>::PANEL; }

  void attend_tile(int tile, int from, int to) {
    constexpr int PANEL = Block<T>::PANEL;
    const auto& window = this->window;
    const Span keys = this->keys_of(tile, from, to);
    if (keys.low >= keys.high) return;
    const int first = keys.low / PANEL, last = (keys.high + PANEL - 1) / PANEL;
    for (int panel = first; panel < last; ++panel)
      dots<T, TILE>(this->q.get() + tile * TILE * window.columns, window.columns,
                    window.at(window.keys_t, panel), window.width,
                    logits.get() + (panel - first) * PANEL, ld());
    T highest[TILE], sums[TILE];
    const int rows = std::min(TILE, this->n - tile * TILE);
    for (int i = 0; i < rows; ++i) {
      this->fetch_coming();
      sums[i] = weigh(this->queries[tile * TILE + i], window, first, last,
                      logits.get() + i * ld(), &highest[i]);
    }
    std::fill_n(found.get(), TILE * window.columns, T(0));
    this->combine_keys(logits.get(), ld(), first * PANEL, keys, window.values, found.get());
    for (int i = 0; i < rows; ++i)
      if (sums[i] != 0)
        merge(this->queries[tile * TILE + i], this->list, window.width, highest[i], sums[i],
              found.get() + i * window.columns);
  }

  void attend(int round, int first_place, int last_place) {
    auto& window = this->window;
    this->begin(round);
    for (int place = first_place; place < last_place; place += QUERIES) {
      this->start(place);
      this->over_keys(
          [&](int panel) {
            int& held = window.held[window.slot(panel)];
            if (held != panel) window.pack(this->p, this->list, this->runs, this->round, panel);
            held = panel;
          },
          [&](int from, int to) {
            for (int tile = 0; tile * TILE < this->n; ++tile) attend_tile(tile, from, to);
          });
    }
  }
};

template <class T> void forward_list(const Problem& p, List<T> list, int threads) {
  Runs runs(p);
  parallel(threads, p.rounds, [&](int r, int) { runs.fill(p, list.order, list.ends, r); });
  std::fill_n(list.z, p.length, -std::numeric_limits<T>::infinity());
  const int length = PART / QUERIES * QUERIES, parts = (p.length + length - 1) / length;
  Workers<Forward<T>> workers(threads);
  for (int r = 0; r < p.rounds; ++r)
    parallel(threads, parts, [&](int part, int thread) {
      workers.of(thread, p, list, runs)
          .attend(r, part * length, std::min<int64_t>(p.length, int64_t(part + 1) * length));
    });
  for (int64_t i = 0; i < p.length; ++i)
    if (list.z[i] == -std::numeric_limits<T>::infinity())  // alone
      std::copy_n(list.v[i], p.width, list.out[i]);
}
