#include "parts.h"
#include "base.h"
#include "data/atomic_file.h"
#include "data/hash.h"
#include "data/json.h"
#include "data/mapped_file.h"
#include "data/zoo_reader.h"
#include "data/zoo_writer.h"
#include "engine/networks/subset.h"
#include "engine/training/interrupt.h"
#include <algorithm>
#include <fmt/core.h>
#include <map>

namespace theta {

namespace fs = std::filesystem;

namespace {

long waves_of(const ZooRecipe &r) { return (long(r.networks) + r.wave - 1) / r.wave; }

int run_at(const ZooRecipe &r, long part, long of) {
  return int(std::min<long>(waves_of(r) * part / of * r.wave, r.networks));
}

// A file that is there as it is, under another name too.
void link_or_copy(const fs::path &from, const fs::path &to) {
  fs::remove(to);
  std::error_code failed;
  fs::create_hard_link(from, to, failed);
  if (!failed)
    return;
  const fs::path unfinished = to.string() + ".copy";
  fs::copy_file(from, unfinished, fs::copy_options::overwrite_existing);
  fs::rename(unfinished, to);
}

// What all parts must have alike beside their rows: relative to a zoo's folder.
std::vector<fs::path> shared_files(const fs::path &zoo) {
  std::vector<fs::path> files;
  if (fs::exists(zoo / base_name))
    files.emplace_back(base_name);
  if (fs::exists(zoo / trunk_folder / zoo_files::index))
    for (const auto &entry : fs::directory_iterator(zoo / trunk_folder))
      if (entry.is_regular_file() && !entry.path().filename().string().starts_with("."))
        files.push_back(fs::path(trunk_folder) / entry.path().filename());
  std::sort(files.begin(), files.end());
  return files;
}

} // namespace

int ZooPart::begin(const ZooRecipe &r) const { return run_at(r, number - 1, of); }
int ZooPart::end(const ZooRecipe &r) const { return run_at(r, number, of); }

ZooPart zoo_part_of(const std::string &text) {
  ZooPart part;
  int used = 0;
  if (std::sscanf(text.c_str(), "%d/%d%n", &part.number, &part.of, &used) != 2 || std::size_t(used) != text.size() ||
      part.number < 1 || part.of < part.number)
    throw InputError("--part: found '", text, "', expected a part and how many there are: 3/16");
  return part;
}

std::string folder_of(const ZooPart &part) { return fmt::format("{}-of-{}", part.number, part.of); }

void check_part(const ZooPart &part, const ZooRecipe &r) {
  if (part.of > waves_of(r))
    throw InputError("--part: found ", part.of, " parts, expected at most ", waves_of(r), ": a wave (zoo.wave) of ",
                     r.wave, " of the ", r.networks, " networks each");
}

void write_part(const fs::path &zoo, const ZooPart &part) {
  fs::create_directories(zoo);
  write_file(zoo / part_name, Json{{"part", part.number}, {"of", part.of}}.dump() + "\n");
}

std::optional<ZooPart> read_part(const fs::path &zoo) {
  if (!fs::exists(zoo / part_name))
    return {};
  const std::string where = (zoo / part_name).string();
  const Json json = json_file(zoo / part_name);
  return ZooPart{field<int>(json, "part", where), field<int>(json, "of", where)};
}

void join_parts(const fs::path &parts, const fs::path &zoo, const std::string &key, Journal &journal) {
  if (!fs::is_directory(parts))
    throw InputError("zoo join: found no folder ", parts.string(),
                     ", expected parts of the zoo (`theta zoo train --part`)");
  std::map<int, fs::path> found; // zoos, by number
  int of = 0;
  for (const auto &entry : fs::directory_iterator(parts)) {
    const fs::path each = entry.path() / "zoo";
    const auto part = read_part(each);
    if (!part)
      continue;
    if (of != 0 && part->of != of)
      throw InputError("zoo join: ", each.string(), ": found a part of ", part->of, ", expected parts of ", of,
                       " like ", found.begin()->second.string());
    of = part->of;
    if (!found.emplace(part->number, each).second)
      throw InputError("zoo join: found part ", part->number, " twice: ", found[part->number].string(), " and ",
                       each.string());
  }
  std::string missing;
  for (int number = 1; number <= of; ++number)
    if (!found.contains(number) || !fs::exists(found[number] / zoo_files::index))
      missing +=
          fmt::format("{}{}{}", missing.empty() ? "" : ", ", number, found.contains(number) ? " (not complete)" : "");
  if (of == 0 || !missing.empty())
    throw InputError("zoo join: ", parts.string(), ": found ", found.size(), " parts of ", of,
                     ", missing: ", of == 0 ? "all" : missing);
  std::vector<std::unique_ptr<ZooReader>> readers;
  for (const auto &[number, folder] : found) {
    readers.push_back(std::make_unique<ZooReader>(folder));
    if (parse_json(readers.back()->format().facts, folder.string()).value("key", "") != key)
      throw InputError("zoo join: ", folder.string(),
                       " was made with other settings, data or another device than this "
                       "configuration's");
    const auto shared = shared_files(folder), of_first = shared_files(found.begin()->second);
    const auto differs = [&](const fs::path &file) {
      return hash_of(MappedFile(folder / file).bytes()) != hash_of(MappedFile(found.begin()->second / file).bytes());
    };
    if (shared != of_first || std::any_of(shared.begin(), shared.end(), differs))
      throw InputError("zoo join: ", folder.string(), ": found another trunk or base than that of ",
                       found.begin()->second.string());
  }
  fs::create_directories(zoo);
  for (const char *stale : {zoo_files::index, part_name})
    fs::remove(zoo / stale);
  std::size_t shards = 0;
  for (const auto &[number, folder] : found) {
    stop_if_interrupted("zoo join");
    for (std::size_t i = 0; fs::exists(folder / zoo_files::shard(i)); ++i)
      link_or_copy(folder / zoo_files::shard(i), zoo / zoo_files::shard(shards++));
  }
  for (const fs::path &file : shared_files(found.begin()->second)) {
    fs::create_directories((zoo / file).parent_path());
    link_or_copy(found.begin()->second / file, zoo / file);
  }
  ZooWriter writer(zoo, readers.front()->format(), std::size_t(1) << 40, shards);
  writer.finish();
  journal.line(fmt::format("zoo join: {} rows of {} parts in {}", writer.rows(), of, zoo.string()));
}

} // namespace theta
