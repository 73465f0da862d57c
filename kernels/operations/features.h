// Numbers, labels and places as networks take them.
#pragma once
#include "kernels/device/device.h"

namespace theta {

// A number as a network takes it: out[r, i] = sin(t[r]·f_i), out[r, half + i] = cos(t[r]·f_i) with f_i =
// 1000^(i/(half − 1)), half = width/2 >= 2. A row whose number is not given, NaN, is 0.   out [rows, width].
template <class T> void number_features(Stream &, T *out, const T *t, int rows, int width);

// A label as a network takes it: out[r, label[r]] = 1, all else 0; a row of zeros for NaN.   out [rows, classes].
template <class T> void label_features(Stream &, T *out, const T *label, int rows, int classes);

// A whole number (a time, a place) as sines and cosines (Vaswani et al., 2017): out[r, i] = sin(n·f_i), out[r, half +
// i] = cos(n·f_i), f_i = 10000^(−i/half), half = width/2 (an odd last column is 0), n = number[r], or r where `number`
// is null. Angles are double: of 1,000 a float would lose its end.   out [rows, width].
template <class T> void whole_number_features(Stream &, T *out, const T *number, int rows, int width);

} // namespace theta
