// Rows of tables by their numbers: embeddings, those of many networks side by side.
#pragma once
#include "kernels/device/device.h"
#include "kernels/device/host_device.h"

namespace theta {

// Table n is [vocabulary, width] and begins at n·table_stride; network n reads the numbers of its `rows` rows from
// n·id_stride on, 0 where all networks read the same. A number is a whole one below the vocabulary; what is none is taken
// for the nearest that is, NaN for 0.
struct Lookup {
  int networks, rows, vocabulary, width;
  std::size_t table_stride, id_stride;

  template <class T> THETA_HOST_DEVICE int row_of(T id) const {
    return id > 0 ? id < T(vocabulary) ? int(id) : vocabulary - 1 : 0;
  }
};

// y[n, r, :] = table[n][id[n, r], :].   y [networks, rows, width]. Bytes: 8·networks·rows·width.
template <class T> void lookup_forward(Stream &, T *y, const T *table, const T *id, const Lookup &);

// dtable[n][v, :] += Σ dy[n, r, :] over the rows r whose number is v, in their order.   Bytes: 4·networks·(rows +
// 2·vocabulary)·width. On cuda a thread has one element of the tables, and walks down the numbers of all rows: for
// vocabularies of characters, not of words.
template <class T> void lookup_backward(Stream &, T *dtable, const T *dy, const T *id, const Lookup &);

} // namespace theta
