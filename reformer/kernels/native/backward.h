// Included by attention.cpp, inside its namespace: the backward pass. Logits are recomputed, and
// P = exp(logit - z), where a pair counts.

// Of one query: its logits become P, and dout . v becomes dlogits = P (dout . v - delta), over
// panels [from, to).
template <class T>
void differentiate(const Query<T>& query, const Window<T>& window, int from, int to, T z, T delta,
                   T* logits, T* dlogits) {
  using V = typename Simd<T>::Vector;
  constexpr int LANES = Simd<T>::LANES;
  constexpr T INFINITE = std::numeric_limits<T>::infinity();
  for (int panel = from; panel < to; ++panel) {
    const auto* known = window.places_of(panel);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half, logits += LANES, dlogits += LANES, known += LANES) {
      const V weights = exponential<T>(query.attends(known) ? load(logits) - z : V{} - INFINITE);
      store(logits, weights);
      store(dlogits, weights * (load(dlogits) - delta));
    }
  }
}

// Adds a panel's gradients to its positions; those of the keys go through k = scale q / |q|.
template <class T>
void add_panel(const Problem& p, const List<T>& list, int round, int panel, int columns,
               const T* dkeys, const T* dvalues) {
  constexpr int PANEL = Simd<T>::PANEL;
  const int width = p.width, n = std::min<int64_t>(PANEL, p.length - int64_t(panel) * PANEL);
  const int32_t* positions = list.order + round * p.length + int64_t(panel) * PANEL;
  for (int j = n; j < std::min<int64_t>(2 * PANEL, p.length - int64_t(panel) * PANEL); ++j)
    for (const auto& table : {list.q, list.dq, list.dv}) prefetch(table[positions[j]], width);
  for (int j = 0; j < n; ++j, dkeys += columns, dvalues += columns) {
    const int position = positions[j];
    const T *q = list.q[position], norm = inverse_norm(q, width), scale = T(p.scale) * norm;
    T *__restrict dq = list.dq[position], *__restrict dv = list.dv[position];
    const T along = dot(q, dkeys, width) * norm * norm;
    for (int w = 0; w < width; ++w) dq[w] += scale * (dkeys[w] - along * q[w]);
    for (int w = 0; w < width; ++w) dv[w] += dvalues[w];
  }
}

// Gradients of keys that belong to another part: added when all parts of the round are done, in
// their order.
template <class T> struct Spill {
  std::vector<int> panels;
  std::vector<T> gradients;
};

template <class T> struct Backward : Block<T> {
  Spill<T>* spill = nullptr;
  int first_place = 0, last_place = 0;
  Buffer<T> weights, dlogits, dout, dq;

  Backward(const Problem& p, const List<T>& list, const Runs& runs)
      : Block<T>(p, list, runs, true),
        weights(QUERIES * ld()),
        dlogits(QUERIES * ld()),
        dout(QUERIES * this->window.columns),
        dq(QUERIES * this->window.columns) {}

  // Between rows of weights; one panel more, or rows a power of two apart would share a few sets of
  // the first-level cache.
  int ld() const { return (this->window.slots + 1) * Block<T>::PANEL; }

  void differentiate_tile(int tile, int from, int to) {
    constexpr int PANEL = Block<T>::PANEL;
    const auto& window = this->window;
    const int columns = window.columns, row = tile * TILE;
    const Span keys = this->keys_of(tile, from, to);
    if (keys.low >= keys.high) return;
    const int first = keys.low / PANEL, last = (keys.high + PANEL - 1) / PANEL;
    for (int panel = first; panel < last; ++panel) {
      const int64_t at = row * ld() + (panel - from) * PANEL;
      dots<T, TILE>(this->q.get() + row * columns, columns, window.at(window.keys_t, panel),
                    window.width, weights.get() + at, ld());
      dots<T, TILE>(dout.get() + row * columns, columns, window.at(window.values_t, panel),
                    window.width, dlogits.get() + at, ld());
    }
    for (int i = row; i < row + TILE; ++i) {
      T* const p_row = weights.get() + i * ld() + (first - from) * PANEL;
      T* const dlogits_row = dlogits.get() + i * ld() + (first - from) * PANEL;
      if (i >= this->n) {
        std::fill_n(p_row, (last - first) * PANEL, T(0));
        std::fill_n(dlogits_row, (last - first) * PANEL, T(0));
        continue;
      }
      this->fetch_coming();
      const int position = this->queries[i].position;
      differentiate(this->queries[i], window, first, last, this->list.z[position],
                    this->list.delta[position], p_row, dlogits_row);
    }
    this->combine_keys(dlogits.get() + row * ld(), ld(), from * PANEL, keys, window.keys,
                       dq.get() + row * columns);
  }

  // Adds to the gradients of a panel what comes from the queries of the block.
  void differentiate_keys(int panel, int from) {
    const int low = panel * Block<T>::PANEL, high = low + Block<T>::PANEL;
    const int tiles = (this->n + TILE - 1) / TILE;
    auto attended = [&](int tile) {
      return tile < tiles && this->spans[tile].low < high && this->spans[tile].high > low;
    };
    for (int tile = 0; tile < tiles; ++tile) {
      const int begin = tile;
      while (attended(tile)) ++tile;
      if (begin == tile) continue;
      const int row = begin * TILE, n = (tile - begin) * TILE;
      add_keys(weights, dout, row, n, panel, from, this->window.dvalues);
      add_keys(dlogits, this->q, row, n, panel, from, this->window.dkeys);
    }
  }

  void add_keys(const Buffer<T>& factors, const Buffer<T>& rows, int row, int n, int panel,
                int from, const Buffer<T>& sums) {
    constexpr int PANEL = Block<T>::PANEL, REST = PANEL % TILE;
    const int columns = this->window.columns;
    const T* first = factors.get() + row * ld() + (panel - from) * PANEL;
    const T* vectors = rows.get() + row * columns;
    T* out = this->window.at(sums, panel);
    int key = 0;
    for (; key + TILE <= PANEL; key += TILE)
      combine<T, TILE>(first + key, 1, ld(), vectors, columns, n, out + key * columns);
    if constexpr (REST > 0)
      combine<T, REST>(first + key, 1, ld(), vectors, columns, n, out + key * columns);
  }

  void let_go(int slot) {
    auto& window = this->window;
    const int panel = window.held[slot], n = window.size();
    if (panel < 0) return;
    T *dkeys = window.at(window.dkeys, panel), *dvalues = window.at(window.dvalues, panel);
    const int place = panel * Block<T>::PANEL;
    if (place >= first_place && place < last_place) {
      add_panel(this->p, this->list, this->round, panel, window.columns, dkeys, dvalues);
    } else {
      spill->panels.push_back(panel);
      spill->gradients.insert(spill->gradients.end(), dkeys, dkeys + n);
      spill->gradients.insert(spill->gradients.end(), dvalues, dvalues + n);
    }
    std::fill_n(dkeys, n, T(0));
    std::fill_n(dvalues, n, T(0));
  }

  void hold(int panel) {
    auto& window = this->window;
    const int slot = window.slot(panel);
    if (window.held[slot] == panel) return;
    let_go(slot);
    window.pack(this->p, this->list, this->runs, this->round, panel);
    window.held[slot] = panel;
  }

  // Before the first round: delta = dout . out, and no gradients; a position that is alone passes
  // dout to its own value.
  void start_gradients() {
    constexpr int AHEAD = 16;
    const auto& list = this->list;
    const int width = this->window.width;
    for (int place = first_place; place < last_place; ++place) {
      if (place + AHEAD < last_place) {
        const int coming = list.order[place + AHEAD];
        for (const auto& table : {list.out, list.dout, list.dq, list.dv})
          prefetch(table[coming], width);
      }
      const int position = list.order[place];
      const T* dout = list.dout[position];
      list.delta[position] = dot(dout, list.out[position], width);
      std::fill_n(list.dq[position], width, T(0));
      if (list.z[position] == -std::numeric_limits<T>::infinity())
        std::copy_n(dout, width, list.dv[position]);
      else
        std::fill_n(list.dv[position], width, T(0));
    }
  }

  void attend(int round, int from_place, int to_place, Spill<T>& spilt) {
    this->begin(round);
    first_place = from_place, last_place = to_place, spill = &spilt;
    if (round == 0) start_gradients();
    const int columns = this->window.columns;
    for (int place = first_place; place < last_place; place += QUERIES) {
      this->start(place);
      std::fill_n(dout.get(), QUERIES * columns, T(0));
      std::fill_n(dq.get(), QUERIES * columns, T(0));
      for (int i = 0; i < this->n; ++i) this->pack(this->list.dout, i, dout.get());
      this->over_keys([&](int panel) { hold(panel); },
                      [&](int from, int to) {
                        for (int tile = 0; tile * TILE < this->n; ++tile)
                          differentiate_tile(tile, from, to);
                        for (int panel = from; panel < to; ++panel) differentiate_keys(panel, from);
                      });
      for (int i = 0; i < this->n; ++i) {
        T* row = this->list.dq[this->queries[i].position];
        for (int w = 0; w < this->window.width; ++w) row[w] += dq.get()[i * columns + w];
      }
    }
    for (int slot = 0; slot < this->window.slots; ++slot) {
      let_go(slot);
      this->window.held[slot] = -1;
    }
  }
};

// Parts do not depend on the number of threads, nor does the order of any sum.
template <class T> void backward_list(const Problem& p, List<T> list, int threads) {
  Runs runs(p);
  parallel(threads, p.rounds, [&](int r, int) { runs.fill(p, list.order, list.ends, r); });
  const Buffer<T> delta(p.length, false);
  list.delta = delta.get();
  // Long windows make long parts, or most gradients would be another part's.
  const int64_t window = p.chunk_length * (p.chunks_before + 1);
  const int64_t blocks = (std::max<int64_t>(PART, 4 * window) + QUERIES - 1) / QUERIES;
  const int length = blocks * QUERIES, parts = (p.length + length - 1) / length;
  Workers<Backward<T>> workers(threads);
  for (int r = 0; r < p.rounds; ++r) {
    std::vector<Spill<T>> spills(parts);
    parallel(threads, parts, [&](int part, int thread) {
      workers.of(thread, p, list, runs)
          .attend(r, part * length, std::min<int64_t>(p.length, int64_t(part + 1) * length),
                  spills[part]);
    });
    const int columns = padded<T>(p.width), size = columns * Simd<T>::PANEL;
    for (const auto& spill : spills)
      for (size_t i = 0; i < spill.panels.size(); ++i) {
        const T* gradients = spill.gradients.data() + 2 * i * size;
        add_panel(p, list, r, spill.panels[i], columns, gradients, gradients + size);
      }
  }
}
