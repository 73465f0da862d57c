// How a network of a generator is trained: AdamW.
#pragma once
#include "engine/settings/keys.h"
#include "engine/training/lr_schedule.h"

namespace theta {

struct FitRecipe {
  long steps = 1000;
  int batch = 50;
  double lr = 1e-4, weight_decay = 0, max_norm = 0; // max_norm 0: no clipping
  LrKind schedule = LrKind::cosine;
  double ema_decay = 0; // 0: no moving average
};

inline void describe(Keys &keys, FitRecipe &r) {
  keys({"steps", "training steps"}, r.steps, positive);
  keys({"batch", "networks a step"}, r.batch, Limits{2, 1e6}); // batch norm needs two
  keys({"lr", "learning rate at its highest"}, r.lr, rate);
  keys({"weight_decay", "decoupled weight decay"}, r.weight_decay, rate);
  keys({"max_norm", "gradients are clipped to this norm; 0: not"}, r.max_norm, not_negative);
  keys({"schedule", "of the learning rate over the steps"}, r.schedule, lr_kind_named);
  keys({"ema_decay", "decay a step of the averaged weights that sample"}, r.ema_decay, Limits{0, 0.999999});
}

} // namespace theta
