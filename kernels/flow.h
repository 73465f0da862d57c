// Flow matching along straight lines (Lipman et al., 2023; rectified flow: Liu et al., 2023): between data x0 (t = 0)
// and noise eps (t = 1) lies x_t = (1 − t)·x0 + t·eps, whose velocity eps − x0 a model learns.
#pragma once
#include "device.h"
#include "random.h"

namespace theta {

// t[r] = 1/(1 + exp(−N(0, 1))): logit-normal times (Esser et al., 2024), draw `first_index` of stream first_stream + r.
template <class T> void draw_times(Stream &, T *t, int rows, const Draws &);

// x_t and the velocity; row r at t[r].   xt, velocity, x0, eps [rows, cols]; velocity may be eps, xt may be x0.
// Bytes: 4·rows·cols·sizeof(T).
template <class T>
void flow_mix(Stream &, T *xt, T *velocity, const T *x0, const T *eps, const T *t, int rows, std::size_t cols);

// out[r, i] = sin(t[r]·f_i), out[r, half + i] = cos(t[r]·f_i) with f_i = 1000^(i/(half − 1)), half = width/2 >= 2.
//   out [rows, width].
template <class T> void time_features(Stream &, T *out, const T *t, int rows, int width);

// Rows of `cols` elements from one tensor to another, `to_step` and `from_step` elements apart. Bytes:
// 2·rows·cols·sizeof(T).
template <class T>
void copy_rows(Stream &, T *to, std::size_t to_step, const T *from, std::size_t from_step, int rows, std::size_t cols);

} // namespace theta
