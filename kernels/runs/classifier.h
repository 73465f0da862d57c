// What the outputs of a classifier come to on the cpu, a pack of examples at a time: logits [classes][lanes], one lane
// an example.
#pragma once
#include "run_worker.h"
#include <limits>

namespace theta::simd {

// The gradient of weight·Σ losses in place of the logits, zero for lanes from `count` on. The losses of the first
// `count` lanes are added to *loss, one after another, unless it is null. label: the classes' numbers.
template <class P>
void softmax_gradient(Element<P> *logits, int classes, P label, int count, Element<P> weight, float smoothing,
                      double *loss) {
  using T = Element<P>;
  constexpr int L = lanes_of<P>;
  const T rest = T(smoothing) / T(classes);
  P largest = load<P>(logits), sum{}, plain{}, of_label{};
  for (int c = 1; c < classes; ++c)
    largest = larger(largest, load<P>(logits + c * L));
  for (int c = 0; c < classes; ++c) {
    const P x = load<P>(logits + c * L), e = exp(x - largest);
    if (loss)
      plain += x, of_label = label == T(c) ? x : of_label;
    sum += e;
    store(logits + c * L, e);
  }
  if (loss)
    for (int i = 0; i < L && i < count; ++i)
      *loss += std::log(double(sum[i])) + double(largest[i]) - (1 - double(smoothing)) * double(of_label[i]) -
               double(rest) * double(plain[i]);
  P scale = weight / sum, target = broadcast<P>(weight);
  for (int i = std::max(count, 0); i < L; ++i)
    scale[i] = 0, target[i] = 0;
  for (int c = 0; c < classes; ++c)
    store(logits + c * L, load<P>(logits + c * L) * scale -
                              target * (label == T(c) ? broadcast<P>(rest + 1 - T(smoothing)) : broadcast<P>(rest)));
}

// Adds the losses of the first `count` lanes to `loss`, one after another. Returns a bit for each that is wrong: its
// largest logit (the first of equals; none, if one is NaN) is not its label's.
template <class P>
std::uint32_t judge(double &loss, const Element<P> *logits, int classes, const std::uint8_t *label, int count) {
  using T = Element<P>;
  constexpr int L = lanes_of<P>;
  P sum{}, best{}, largest = broadcast<P>(-std::numeric_limits<T>::infinity());
  for (int c = 0; c < classes; ++c) {
    const P x = load<P>(logits + c * L);
    best = x > largest ? broadcast<P>(T(c)) : best, largest = x > largest ? x : largest;
  }
  for (int c = 0; c < classes; ++c)
    sum += exp(load<P>(logits + c * L) - largest);
  std::uint32_t wrong = 0;
  for (int i = 0; i < L && i < count; ++i) {
    loss += double(largest[i]) + std::log(double(sum[i])) - double(logits[label[i] * L + i]);
    if (int(best[i]) != label[i] || !(sum[i] == sum[i]))
      wrong |= 1u << i;
  }
  return wrong;
}

// Mean loss of a network over all images, and its mistakes as bits (counting.h), `at_once` images at a time:
// run(examples, count) runs them, then logits(b) gives those of lanes b.. of them. `kept`: these, [examples, classes],
// or null.
template <class P, class Run, class Logits>
double evaluate_classifier(std::uint32_t *wrong, Element<P> *kept, const ImageSet &set, int at_once, Run run,
                           Logits logits) {
  constexpr int L = lanes_of<P>;
  std::fill_n(wrong, (set.examples + 31) / 32, 0u);
  double loss = 0;
  for (int first = 0; first < int(set.examples); first += at_once) {
    const int count = std::min(at_once, int(set.examples) - first);
    run(first, count);
    for (int b = 0; b < count; b += L) {
      wrong[(first + b) / 32] |= judge<P>(loss, logits(b), set.classes, set.label + first + b, count - b)
                                 << (first + b) % 32;
      for (int i = 0; kept && i < L && b + i < count; ++i)
        for (int c = 0; c < set.classes; ++c)
          kept[std::size_t(first + b + i) * std::size_t(set.classes) + std::size_t(c)] = logits(b)[c * L + i];
    }
  }
  return loss / set.examples;
}

} // namespace theta::simd
