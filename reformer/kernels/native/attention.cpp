// LSH attention on the CPU, forward and backward (paper, section 2); the mathematics is that of
// blocked.py.
//
// Sorted by (bucket, position), the keys of a query are one run of places, or two where its window
// reaches around the edge of the round. So no mask is stored, a tile of TILE queries computes only
// the places between its first and last key, and a pair has met in an earlier round if the key's
// place there lies in the query's run there. log N_ij makes a pair that meets in several rounds
// count as one; here it counts in the first of them, without a weight. Panels of PANEL consecutive
// places are packed once and kept while the window passes over them. L length, W head width, R
// rounds.

#include "simd.h"

namespace {

#include "problem.h"
#include "window.h"
#include "forward.h"
#include "backward.h"

constexpr size_t CACHE_BYTES = 8 << 20;  // a thread's share of the last level of cache

// step(problem, list, threads) for every list: short lists whole to each thread, what is left over
// to all threads together; lists that outgrow the cache and are long enough to keep all threads
// busy to all of them, one after the other.
template <class T, class F> int over_lists(const Problem& p, F&& step) {
  try {
    const int lists = p.batch * p.heads;
    const size_t bytes = p.length * p.width * sizeof(T);  // of a list in one tensor
    for (void* made : {p.out.data, p.dq.data, p.dv.data})  // by kernel.py, dense
      if (made) in_huge_pages(made, lists * bytes);
    const bool outgrows = bytes * (p.is_backward() ? 5 : 3) > CACHE_BYTES;
    const bool are_long = outgrows && p.length >= 4 * PART * p.threads;
    const int whole = are_long ? 0 : lists / p.threads * p.threads;
    parallel(p.threads, whole, [&](int i, int) { step(p, List<T>(p, i), 1); });
    for (int i = whole; i < lists; ++i) step(p, List<T>(p, i), p.threads);
    return 0;
  } catch (...) {
    return 1;
  }
}

}  // namespace

extern "C" {
int forward_float(const Problem* p) {
  return over_lists<float>(*p, forward_list<float>);
}
int forward_double(const Problem* p) {
  return over_lists<double>(*p, forward_list<double>);
}
int backward_float(const Problem* p) {
  return over_lists<float>(*p, backward_list<float>);
}
int backward_double(const Problem* p) {
  return over_lists<double>(*p, backward_list<double>);
}
}
