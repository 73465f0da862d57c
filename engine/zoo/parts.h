// A zoo in parts, each trained by itself, on any machine and in any order: a network depends on its number alone, so that
// the parts' shards one behind another are the zoo that one process would have trained.
#pragma once
#include "engine/training/journal.h"
#include "recipe.h"
#include <filesystem>

namespace theta {

// Part `number` (from 1) of `of`: waves of the recipe, as even as can be.
struct ZooPart {
  int number = 1, of = 1;
  bool is_whole() const { return of == 1; }
  int begin(const ZooRecipe &) const; // its first run; the one behind its last
  int end(const ZooRecipe &) const;
};
ZooPart zoo_part_of(const std::string &text);                       // "3/16"; throws InputError
std::string folder_of(const ZooPart &);                             // "3-of-16"
void check_part(const ZooPart &, const ZooRecipe &);                // throws InputError for more parts than waves
inline constexpr const char *part_name = "part.json";               // in the zoo's folder of a part
void write_part(const std::filesystem::path &zoo, const ZooPart &); // of a part
std::optional<ZooPart> read_part(const std::filesystem::path &zoo); // none of a whole zoo; throws InputError

// Makes one zoo of the parts in `parts`, a folder each with a zoo in it, of which `key` is the key. Shards are linked where
// they can be, else copied. Throws InputError, naming which, for a part that is missing, not complete, there twice, of
// another number of parts or another configuration, or whose trunk or base is another.
void join_parts(const std::filesystem::path &parts, const std::filesystem::path &zoo, const std::string &key,
                Journal &);

} // namespace theta
