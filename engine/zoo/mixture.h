// What networks of text read: each its own mixture of the classes (languages, say), which its columns tell.
#pragma once
#include "recipe.h"

namespace theta {

// The shares of `classes` that run `run` reads, which add up to 1: drawn from Dirichlet(a, ..., a), a = mixture, those
// below mixture_least made none, until none is above mixture_most; all alike where a is 0. Of the runs that are held out the first read one class alone, one class
// after another, as many as `pure` a class.
std::vector<float> shares_of(const ZooRecipe &, std::uint64_t seed, long run, int classes);

// The column that has the share of a class.
std::string share_column(const std::string &class_name);

} // namespace theta
