// CIFAR-10 and CIFAR-100, the binary versions (Krizhevsky, 2009): records of one label (two: coarse, fine) and three
// planes of 32x32 bytes.
#include "kernels/device/error.h"
#include "mapped_file.h"
#include "raw_images.h"

namespace theta {

namespace fs = std::filesystem;

namespace {

constexpr int side = 32, channels = 3;
constexpr std::size_t area = std::size_t(channels) * side * side;

// Appends the records of a file; the last of `labels` bytes is the class.
void add_records(Images &to, const fs::path &path, std::size_t labels, int classes, WhatIsRead reading) {
  const MappedFile file(path);
  const std::size_t record = labels + area, n = file.bytes().size() / record;
  if (n == 0 || file.bytes().size() % record != 0)
    throw InputError(path.string(), ": found ", file.bytes().size(), " bytes, expected records of ", record);
  const auto *bytes = reinterpret_cast<const std::uint8_t *>(file.bytes().data());
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint8_t *at = bytes + i * record;
    if (at[labels - 1] >= classes)
      throw InputError(path.string(), ": record ", i, ": found label ", int(at[labels - 1]), ", expected 0 to ",
                       classes - 1);
    to.labels.push_back(at[labels - 1]);
    if (reading == WhatIsRead::all)
      to.pixels.insert(to.pixels.end(), at + labels, at + record);
  }
}

fs::path folder_of(const DatasetOptions &o, const char *name, const char *inner) {
  if (o.folder.empty())
    throw InputError("data.folder: found nothing, expected the folder of the files with data.name = \"", name, "\"");
  return fs::exists(o.folder / inner) ? o.folder / inner : o.folder; // as the archive unpacks
}

// What can be planned with before the data is here: as many labels as were published, as many of each class.
bool filled_as_published(RawImages &raw, const fs::path &folder, WhatIsRead reading) {
  if (reading == WhatIsRead::all || fs::exists(folder))
    return false;
  for (const auto &[part, count] : {std::pair{&raw.train, 50000}, {&raw.test, 10000}})
    for (int i = 0; i < count; ++i)
      part->labels.push_back(std::uint8_t(i % raw.classes));
  return true;
}

} // namespace

RawImages read_cifar10(const DatasetOptions &o, WhatIsRead reading) {
  const fs::path folder = folder_of(o, "cifar10", "cifar-10-batches-bin");
  RawImages raw{.name = "cifar10", .side = side, .channels = channels, .classes = 10};
  if (filled_as_published(raw, folder, reading))
    return raw;
  for (int batch = 1; batch <= 5; ++batch)
    add_records(raw.train, folder / text("data_batch_", batch, ".bin"), 1, raw.classes, reading);
  add_records(raw.test, folder / "test_batch.bin", 1, raw.classes, reading);
  return raw;
}

RawImages read_cifar100(const DatasetOptions &o, WhatIsRead reading) {
  const fs::path folder = folder_of(o, "cifar100", "cifar-100-binary");
  RawImages raw{.name = "cifar100", .side = side, .channels = channels, .classes = 100};
  if (filled_as_published(raw, folder, reading))
    return raw;
  add_records(raw.train, folder / "train.bin", 2, raw.classes, reading);
  add_records(raw.test, folder / "test.bin", 2, raw.classes, reading);
  return raw;
}

} // namespace theta
