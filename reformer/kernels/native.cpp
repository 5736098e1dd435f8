// LSH attention on the CPU, forward and backward (paper, section 2); the mathematics is that of
// blocked.py.
//
// Sorted by (bucket, position), the keys of a query are one run of places, or two where its window
// reaches around the edge of the round. So no mask is stored, a tile of TILE queries computes only
// the places between its first and last key, and a pair is met in another round if the key's place
// there lies in the query's run there (N_ij). Panels of PANEL consecutive places are packed once
// and kept while the window passes over them. L length, W head width, R rounds.

#include "native_simd.h"

namespace {

#include "native_problem.h"
#include "native_window.h"
#include "native_forward.h"
#include "native_backward.h"

// step(list, threads) for every list: whole lists to each thread, what is left over to all threads
// together.
template <class F> int over_lists(const Problem& p, F&& step) {
  try {
    const int lists = p.batch * p.heads, whole = lists / p.threads * p.threads;
    parallel(p.threads, whole, [&](int i, int) { step(i, 1); });
    for (int i = whole; i < lists; ++i) step(i, p.threads);
    return 0;
  } catch (...) {
    return 1;
  }
}

}  // namespace

extern "C" {
int forward_float(const Problem* p) {
  return over_lists(*p, [&](int i, int threads) { forward_list<float>(*p, i, threads); });
}
int forward_double(const Problem* p) {
  return over_lists(*p, [&](int i, int threads) { forward_list<double>(*p, i, threads); });
}
int backward_float(const Problem* p) {
  return over_lists(*p, [&](int i, int threads) { backward_list<float>(*p, i, threads); });
}
int backward_double(const Problem* p) {
  return over_lists(*p, [&](int i, int threads) { backward_list<double>(*p, i, threads); });
}
}
