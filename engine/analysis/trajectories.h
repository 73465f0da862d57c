// Ways through weight space, seen in one plane: networks as they train, and as they come about from noise.
#pragma once
#include "engine/weights/matching.h"
#include "engine/zoo/evaluator.h"
#include <string>

namespace theta {

struct Way {
  std::string name, kind;    // kind: descent, denoising, predicted
  std::vector<float> states; // [states, V], from the first to the last
};

// A way in the plane, and as numbers of all its dimensions.
struct DrawnWay {
  std::string name, kind;
  std::vector<double> x, y; // of each state
  std::vector<float> loss;
  double length = 0, displacement = 0; // Σ‖step‖, ‖last − first‖
  double turn = 0;                     // mean angle between a step and the next, degrees; 0: straight
};

struct Plane {
  std::vector<DrawnWay> ways;
  double explained[2]{};              // shares of the states' variance along x and y
  std::vector<double> grid_x, grid_y; // where the loss of the plane's own networks is known
  std::vector<float> grid_loss;       // [y, x]
};

// At most this many states of a way are looked at, evenly chosen, its ends among them.
inline constexpr std::size_t most_states = 50;

// The plane of the two largest principal directions of all states, by their Gram matrix, after the units of every way
// are put in the order in which its last state is nearest to the first way's. Losses are the evaluator's, whose memory
// is bound; `grid` points a side. Throws InputError for fewer than three states in all, or a weight that is not finite.
Plane plane_of(std::vector<Way>, const NetworkShape &, Evaluator &, Stream &, int grid);

} // namespace theta
