// Vectors of the target's width, and the few loops in which attention and hashing spend their time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

// TILE rows times two vectors of sums fill the registers: 6 x 2 of 16, or 8 x 2 of 32 at AVX-512.
#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64, TILE = 8;
#elif defined(__AVX__)
constexpr int VECTOR_BYTES = 32, TILE = 6;
#else
constexpr int VECTOR_BYTES = 16, TILE = 6;
#endif

// A panel holds PANEL rows: natural, one row after the other, or transposed, PANEL values per
// column.
template <class T> struct Simd {
  using Int = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  typedef T Vector __attribute__((vector_size(VECTOR_BYTES)));
  typedef Int Integers __attribute__((vector_size(VECTOR_BYTES)));
  typedef T Anywhere __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));
  typedef Int IntegersAnywhere
      __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));
  static constexpr int LANES = VECTOR_BYTES / sizeof(T);
  static constexpr int PANEL = 2 * LANES;
};

namespace {

template <class T> int padded(int width) {  // to whole vectors
  constexpr int LANES = Simd<T>::LANES;
  return (width + LANES - 1) / LANES * LANES;
}

template <class T> typename Simd<T>::Vector load(const T* from) {
  return *reinterpret_cast<const typename Simd<T>::Anywhere*>(from);
}

template <class T> void store(T* to, typename Simd<T>::Vector x) {
  *reinterpret_cast<typename Simd<T>::Anywhere*>(to) = x;
}

constexpr size_t HUGE_PAGE = 2 << 20;

// A wish, not a need: memory that is read at random costs a walk through the page tables a row
// where pages are small.
inline void in_huge_pages(void* data, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  const auto up = [](uintptr_t at) { return (at + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; };
  const uintptr_t from = reinterpret_cast<uintptr_t>(data), first = up(from);
  const uintptr_t last = (from + bytes) / HUGE_PAGE * HUGE_PAGE;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

template <class T> class Buffer {  // aligned to cache lines, a large one to huge pages
 public:
  explicit Buffer(size_t size, bool zeroed = true) {
    if (size == 0) return;
    const size_t line = size * sizeof(T) < HUGE_PAGE ? 64 : HUGE_PAGE;
    const size_t bytes = (size * sizeof(T) + line - 1) / line * line;
    data_.reset(static_cast<T*>(std::aligned_alloc(line, bytes)));
    if (!data_) throw std::bad_alloc();
    in_huge_pages(data_.get(), bytes);
    if (zeroed) std::fill_n(data_.get(), size, T(0));
  }
  T* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };
  std::unique_ptr<T, Free> data_;
};

// The lanes moved by `by`, around the edge: what a sum or maximum over lanes is made of.
template <class T> typename Simd<T>::Vector rotate(typename Simd<T>::Vector x, int by) {
  constexpr int LANES = Simd<T>::LANES;
  typename Simd<T>::Integers from;
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i) from[i] = (i + by) % LANES;
  return __builtin_shuffle(x, from);
}

template <class T> T sum_of(typename Simd<T>::Vector x) {
#pragma GCC unroll 4
  for (int by = Simd<T>::LANES / 2; by > 0; by /= 2) x += rotate<T>(x, by);
  return x[0];
}

template <class T>
typename Simd<T>::Vector larger(typename Simd<T>::Vector a, typename Simd<T>::Vector b) {
  return (a > b) | (a != a) ? a : b;  // a NaN stays
}

template <class T> T largest_of(typename Simd<T>::Vector x) {
#pragma GCC unroll 4
  for (int by = Simd<T>::LANES / 2; by > 0; by /= 2) x = larger<T>(x, rotate<T>(x, by));
  return x[0];
}

template <class T> T dot(const T* a, const T* b, int width) {
  constexpr int LANES = Simd<T>::LANES;
  typename Simd<T>::Vector sums[2] = {};
  int w = 0;
  for (; w + 2 * LANES <= width; w += 2 * LANES) {
    sums[0] += load(a + w) * load(b + w);
    sums[1] += load(a + w + LANES) * load(b + w + LANES);
  }
  T sum = sum_of<T>(sums[0] + sums[1]);
  for (; w < width; ++w) sum += a[w] * b[w];
  return sum;
}

// A square of LANES x LANES: from[i * ld + j] to to[j * PANEL + i], by exchanging ever larger
// blocks.
template <class T> void transpose_square(const T* from, int64_t ld, T* to) {
  using I = typename Simd<T>::Integers;
  constexpr int LANES = Simd<T>::LANES;
  typename Simd<T>::Vector x[LANES];
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i) x[i] = load(from + i * ld);
#pragma GCC unroll 4
  for (int size = 1; size < LANES; size *= 2) {
    I low, high;
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) {
      low[i] = i & size ? LANES + i - size : i;
      high[i] = i & size ? LANES + i : i + size;
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) {
      if (i & size) continue;
      const auto upper = __builtin_shuffle(x[i], x[i + size], low);
      x[i + size] = __builtin_shuffle(x[i], x[i + size], high);
      x[i] = upper;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i) store(to + i * 2 * LANES, x[i]);
}

// PANEL natural rows of `columns` values, a multiple of the lanes, to a transposed panel.
template <class T> void transpose(const T* rows, int columns, T* panel) {
  constexpr int LANES = Simd<T>::LANES;
  for (int w = 0; w < columns; w += LANES)
    for (int side = 0; side < 2; ++side)
      transpose_square(rows + side * LANES * columns + w, columns,
                       panel + w * 2 * LANES + side * LANES);
}

template <class T> void prefetch(const T* row, int width) {
  for (int w = 0; w < width; w += 64 / sizeof(T)) __builtin_prefetch(row + w);
}

// out[i][lane] = rows[i] . column `lane` of a transposed panel, for N rows.
template <class T, int N>
void dots(const T* rows, int64_t ld, const T* panel, int width, T* out, int64_t ld_out) {
  constexpr int LANES = Simd<T>::LANES;
  typename Simd<T>::Vector sums[N][2] = {};
  for (int w = 0; w < width; ++w, panel += 2 * LANES) {
    const auto low = load(panel), high = load(panel + LANES);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
      sums[i][0] += rows[i * ld + w] * low;
      sums[i][1] += rows[i * ld + w] * high;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) {
    store(out + i * ld_out, sums[i][0]);
    store(out + i * ld_out + LANES, sums[i][1]);
  }
}

// out[i] += sum over steps j of weights[i * by_row + j * by_step] * rows[j]; N rows, V vectors of
// columns.
template <class T, int N, int V>
void combine_columns(const T* weights, int64_t by_row, int64_t by_step, const T* rows, int64_t ld,
                     int steps, T* out) {
  constexpr int LANES = Simd<T>::LANES;
  typename Simd<T>::Vector sums[N][V];
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i)
#pragma GCC unroll 2
    for (int c = 0; c < V; ++c) sums[i][c] = load(out + i * ld + c * LANES);
  for (int j = 0; j < steps; ++j, rows += ld, weights += by_step) {
    typename Simd<T>::Vector row[V];
#pragma GCC unroll 2
    for (int c = 0; c < V; ++c) row[c] = load(rows + c * LANES);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i)
#pragma GCC unroll 2
      for (int c = 0; c < V; ++c) sums[i][c] += weights[i * by_row] * row[c];
  }
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i)
#pragma GCC unroll 2
    for (int c = 0; c < V; ++c) store(out + i * ld + c * LANES, sums[i][c]);
}

// The same for all `columns`, a multiple of the vector's lanes and the distance between rows, out's
// too.
template <class T, int N>
void combine(const T* weights, int64_t by_row, int64_t by_step, const T* rows, int columns,
             int steps, T* out) {
  constexpr int LANES = Simd<T>::LANES;
  int c = 0;
  for (; c + 2 * LANES <= columns; c += 2 * LANES)
    combine_columns<T, N, 2>(weights, by_row, by_step, rows + c, columns, steps, out + c);
  if (c < columns)
    combine_columns<T, N, 1>(weights, by_row, by_step, rows + c, columns, steps, out + c);
}

// exp of x below 88, within 2 units in the last place; 0 where it would be below the smallest
// normal number.
template <class T> typename Simd<T>::Vector exponential(typename Simd<T>::Vector x) {
  using V = typename Simd<T>::Vector;
  using I = typename Simd<T>::Integers;
  constexpr bool SINGLE = sizeof(T) == 4;
  constexpr T SHIFTER = SINGLE ? 12582912.0 : 6755399441055744.0;  // 1.5 * 2^23, 1.5 * 2^52
  constexpr T LN2_HIGH = SINGLE ? 0.693359375 : 6.93147180369123816490e-01;
  constexpr T LN2_LOW = SINGLE ? -2.12194440e-4 : 1.90821492927058770002e-10;
  constexpr int DEGREE = SINGLE ? 7 : 13;  // of Taylor's series: next term 5e-9, 4e-18 at ln 2 / 2
  const V shifted = x * T(1.4426950408889634) + SHIFTER;
  const V whole = shifted - SHIFTER;
  const V rest = (x - whole * LN2_HIGH) - whole * LN2_LOW;
  T factorial = 1;
  for (int k = 2; k <= DEGREE; ++k) factorial *= k;
  V sum = V{} + 1 / factorial;
#pragma GCC unroll 16
  for (int k = DEGREE; k > 0; --k) {
    factorial /= k;
    sum = sum * rest + 1 / factorial;
  }
  const I power = ((I)shifted + (SINGLE ? 127 : 1023)) << (SINGLE ? 23 : 52);
  return (V)((I)(sum * (V)power) & ~(x < T(SINGLE ? -87.0 : -708.0)));
}

// body(task, thread) for all tasks, on at most `n_threads` threads, this one included.
template <class F> void parallel(int n_threads, int n_tasks, F&& body) {
  std::atomic<int> next{0};
  std::atomic<bool> failed{false};
  auto work = [&](int thread) {
    try {
      for (int task = next++; task < n_tasks && !failed; task = next++) body(task, thread);
    } catch (...) {
      failed = true;
    }
  };
  std::vector<std::thread> others;
  try {
    for (int i = 1; i < std::min(n_threads, n_tasks); ++i) others.emplace_back(work, i);
  } catch (const std::system_error&) {  // no more threads: fewer do the work
  }
  work(0);
  for (auto& thread : others) thread.join();
  if (failed) throw std::bad_alloc();
}

}  // namespace
