// The hash and the sort around LSH attention: fast twins of reformer/hashing.py and
// reformer/sorting.py.

#include "simd.h"

namespace {

struct Hash {  // mirrored in kernel.py
  const void* vectors;  // (batch, heads, length, width); strides in elements, the last is 1
  int64_t stride_b, stride_h, stride_l;
  const void* rotations;  // (columns, width), columns by round, then factor, then half buckets
  const int32_t* halves;  // half the buckets of every factor
  int32_t* buckets;       // (batch, heads, rounds, length), filled
  int64_t batch, heads, length, width, rounds, factors, columns, threads;
};

// The digit of every lane: argmax([x ; -x]) over `half` rows, the first of equals; digits = 2 half
// digits + it.
template <class T>
void append_digit(const T* rows, int half, typename Simd<T>::Integers* digits) {
  using I = typename Simd<T>::Integers;
  using Int = typename Simd<T>::Int;
  constexpr int LANES = Simd<T>::LANES, PANEL = Simd<T>::PANEL;
  for (int side = 0; side < 2; ++side) {
    auto highest = load(rows + side * LANES), lowest = highest;
    I at_highest = {}, at_lowest = {};
    for (int i = 1; i < half; ++i) {
      const auto x = load(rows + i * PANEL + side * LANES);
      const I higher = x > highest, lower = x < lowest;
      highest = higher ? x : highest;
      lowest = lower ? x : lowest;
      at_highest = higher ? I{} + Int(i) : at_highest;
      at_lowest = lower ? I{} + Int(i) : at_lowest;
    }
    const I digit = highest >= -lowest ? at_highest : at_lowest + Int(half);
    digits[side] = digits[side] * Int(2 * half) + digit;
  }
}

template <class T>
void hash_panel(const Hash& h, const T* list, int first, int n, T* packed, T* rotated,
                int32_t* buckets) {
  constexpr int PANEL = Simd<T>::PANEL, LANES = Simd<T>::LANES;
  for (int j = 0; j < n; ++j)
    for (int w = 0; w < h.width; ++w) packed[w * PANEL + j] = list[(first + j) * h.stride_l + w];
  const T* rotations = static_cast<const T*>(h.rotations);
  const int width = h.width;
  int column = 0;
  for (; column + TILE <= h.columns; column += TILE, rotations += TILE * width)
    dots<T, TILE>(rotations, width, packed, width, rotated + column * PANEL, PANEL);
  for (; column < h.columns; ++column, rotations += width)
    dots<T, 1>(rotations, width, packed, width, rotated + column * PANEL, PANEL);
  for (int r = 0; r < h.rounds; ++r) {
    typename Simd<T>::Integers digits[2] = {};
    for (int f = 0; f < h.factors; rotated += h.halves[f] * PANEL, ++f)
      append_digit(rotated, h.halves[f], digits);
    for (int j = 0; j < n; ++j) buckets[r * h.length + first + j] = digits[j / LANES][j % LANES];
  }
}

template <class T> int hash_vectors(const Hash& h) {
  constexpr int PANEL = Simd<T>::PANEL, PART = 64 * PANEL;
  try {
    const int parts = (h.length + PART - 1) / PART;
    parallel(h.threads, h.batch * h.heads * parts, [&](int task, int) {
      Buffer<T> packed(h.width * PANEL), rotated(h.columns * PANEL);
      const int64_t list = task / parts;
      const T* vectors = static_cast<const T*>(h.vectors) + list / h.heads * h.stride_b +
                         list % h.heads * h.stride_h;
      const int from = task % parts * PART, to = std::min<int64_t>(h.length, from + PART);
      for (int first = from; first < to; first += PANEL)
        hash_panel(h, vectors, first, std::min(PANEL, to - first), packed.get(), rotated.get(),
                   h.buckets + list * h.rounds * h.length);
    });
    return 0;
  } catch (...) {
    return 1;
  }
}

// Counting sort: positions by (bucket, position), and where every bucket ends. Returns false on an
// illegal bucket.
bool sort_list(const int32_t* buckets, int length, int n_buckets, int valid_length, int32_t* order,
               int32_t* ends) {
  std::vector<int32_t> next(n_buckets + 1);
  auto bucket = [&](int i) { return i < valid_length ? buckets[i] : n_buckets - 1; };
  for (int i = 0; i < length; ++i) {
    if (bucket(i) < 0 || bucket(i) >= n_buckets) return false;
    ++next[bucket(i) + 1];
  }
  for (int b = 0; b < n_buckets; ++b) ends[b] = next[b + 1] += next[b];
  for (int i = 0; i < length; ++i) order[next[bucket(i)]++] = i;
  return true;
}

}  // namespace

extern "C" {
int hash_float(const Hash* h) { return hash_vectors<float>(*h); }
int hash_double(const Hash* h) { return hash_vectors<double>(*h); }

// (lists, length) buckets to (lists, length) order and (lists, n_buckets) ends; 2 on an illegal
// bucket.
int sort_lists(const int32_t* buckets, int64_t lists, int64_t length, int64_t n_buckets,
               int64_t valid_length, int32_t* order, int32_t* ends, int64_t threads) {
  std::atomic<bool> legal{true};
  try {
    parallel(threads, lists, [&](int64_t i, int) {
      if (!sort_list(buckets + i * length, length, n_buckets, valid_length, order + i * length,
                     ends + i * n_buckets))
        legal = false;
    });
  } catch (...) {
    return 1;
  }
  return legal ? 0 : 2;
}
}
