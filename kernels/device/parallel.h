// Loops of the cpu, shared among threads. Every calling thread has a team of its own: itself and helpers that sleep
// while there is nothing to do. Work is dealt out in pieces, to whoever is free: a helper whose core another process
// has taken holds up nobody who has not waited for a piece it has begun. What a piece computes never depends on who
// computes it, so results do not depend on the number of threads.
#pragma once
#include <algorithm>
#include <utility>

namespace theta {

// Threads that the calling thread's loops are shared among, itself one of them. At first: OMP_NUM_THREADS where that is
// set, else the cores that the process may use (container.h).
int threads();
void use_threads(int n);            // of the calling thread's loops from now on; 0: as at first
void use_threads_everywhere(int n); // of all threads that have not been told otherwise

// Within a loop: which of the team's threads this is, 0 <= thread_index() < threads(). Outside: 0.
int thread_index();

// Calls piece(context, i) for 0 <= i < pieces, in any order, and returns when all are done. Pieces must not throw. A
// loop within a loop runs on the thread that meets it.
void share_pieces(long pieces, void (*piece)(void *context, long), void *context);

// Dealing a piece out costs a fraction of a microsecond and waking a helper some of them, about 24,576 simple steps; a
// smaller loop runs on the calling thread.
constexpr double worth_sharing = 24'576, worth_a_piece = 8'192;

// f(i) for 0 <= i < n, which take about `steps` simple steps in all.
template <class F> void parallel_for(long n, double steps, F &&f) {
  if (steps <= worth_sharing || n <= 1) {
    for (long i = 0; i < n; ++i)
      f(i);
    return;
  }
  const long pieces = std::clamp(long(steps / worth_a_piece), 1L, std::min(n, 64L));
  auto piece = [&f, n, pieces](long at) {
    const long last = n * (at + 1) / pieces;
    for (long i = n * at / pieces; i < last; ++i)
      f(i);
  };
  share_pieces(
      pieces, [](void *context, long at) { (*static_cast<decltype(piece) *>(context))(at); }, &piece);
}

// f(i, j) for 0 <= i < n, 0 <= j < m.
template <class F> void parallel_for(long n, long m, double steps, F &&f) {
  parallel_for(n * m, steps, [&f, m](long at) { f(at / m, at % m); });
}

// f(i) for 0 <= i < n where each is worth a thread: one at a time to whoever is free.
template <class F> void parallel_each(long n, F &&f) {
  share_pieces(
      n, [](void *context, long at) { (*static_cast<std::remove_reference_t<F> *>(context))(at); }, &f);
}

} // namespace theta
