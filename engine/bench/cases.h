// The lists of cases that bench_cases joins.
#pragma once
#include "bench.h"

namespace theta {

std::vector<BenchCase> operation_cases(bool gpu);   // operations.cpp
std::vector<BenchCase> token_cases(bool gpu);       // tokens.cpp
std::vector<BenchCase> step_cases(bool gpu);        // steps.cpp
std::vector<BenchCase> zoo_cases(bool gpu);         // zoos.cpp
std::vector<BenchCase> transformer_cases(bool gpu); // transformers.cpp

} // namespace theta
