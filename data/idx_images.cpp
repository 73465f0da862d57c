// MNIST and its kin: four IDX files, plain or gzipped, in either spelling of their names.
#include "idx.h"
#include "kernels/device/error.h"
#include "raw_images.h"
#include <algorithm>
#include <cstdlib>

namespace theta {

namespace fs = std::filesystem;

namespace {

// Where data sets may be: THETA_DATA, beside the program (in its build tree, or installed), the system.
std::vector<fs::path> dataset_roots() {
  std::vector<fs::path> roots;
  if (const char *named = std::getenv("THETA_DATA"))
    roots.emplace_back(named);
  std::error_code unknown;
  const fs::path program = fs::read_symlink("/proc/self/exe", unknown).parent_path();
  for (const fs::path &above : {program / "..", program / ".." / ".."}) // build/theta, build/cpu/theta
    roots.push_back(above / ".deps/usr/share/datasets");
  roots.push_back(program / ".." / "share/theta/datasets");
  for (const char *root : {".deps/usr/share/datasets", "/usr/share/datasets", "/usr/local/share/datasets"})
    roots.emplace_back(root);
  return roots;
}

fs::path fashion_mnist_folder() {
  for (const fs::path &root : dataset_roots())
    if (fs::exists(root / "fashion-mnist"))
      return root / "fashion-mnist";
  throw InputError("fashion-mnist: found neither in THETA_DATA, nor beside the program, nor in /usr/share/datasets; "
                   "`make deps` fetches Debian's package dataset-fashion-mnist");
}

// PART-images-idx3-ubyte or PART-images.idx3-ubyte, with .gz or without.
fs::path found_file(const fs::path &folder, const std::string &part, const std::string &what) {
  for (const char *mark : {"-", "."})
    for (const char *packed : {"", ".gz"})
      if (const fs::path path =
              folder / (part + "-" + what.substr(0, what.find('-')) + mark + what.substr(what.find('-') + 1) + packed);
          fs::exists(path))
        return path;
  throw InputError((folder / (part + "-" + what)).string(), ": cannot be read: found no such file, also not with .gz");
}

Images read_part(const fs::path &folder, const std::string &part, WhatIsRead reading, int &side) {
  const auto image_path = found_file(folder, part, "images-idx3-ubyte"),
             label_path = found_file(folder, part, "labels-idx1-ubyte");
  Idx labels = read_idx(label_path);
  const auto shape = read_idx_shape(image_path);
  if (shape.size() != 3 || shape[1] != shape[2] || shape[1] < 1 || shape[1] > 4096)
    throw InputError(image_path.string(), ": expected square images, one byte a pixel");
  if (side != 0 && shape[1] != side)
    throw InputError(image_path.string(), ": found images of side ", shape[1], ", expected ", side);
  side = int(shape[1]);
  if (labels.shape.size() != 1 || labels.shape[0] != shape[0] || labels.bytes.empty())
    throw InputError(label_path.string(), ": found ", labels.shape[0], " labels, expected ", shape[0]);
  return {reading == WhatIsRead::all ? read_idx(image_path).bytes : std::vector<std::uint8_t>{},
          std::move(labels.bytes)};
}

RawImages read_folder(const fs::path &folder, const std::string &name, WhatIsRead reading) {
  RawImages raw{.name = name};
  raw.train = read_part(folder, "train", reading, raw.side), raw.test = read_part(folder, "t10k", reading, raw.side);
  raw.classes = 1 + *std::max_element(raw.train.labels.begin(), raw.train.labels.end());
  return raw;
}

} // namespace

RawImages read_fashion_mnist(const DatasetOptions &o, WhatIsRead reading) {
  // What lies in a folder of somebody's own is what its files are: nobody says that it is Fashion-MNIST.
  return o.folder.empty() ? read_folder(fashion_mnist_folder(), "fashion-mnist", reading)
                          : read_folder(o.folder, "idx", reading);
}

RawImages read_idx_files(const DatasetOptions &o, WhatIsRead reading) {
  if (o.folder.empty())
    throw InputError("data.folder: found nothing, expected the folder of the files with data.name = \"idx\"");
  return read_folder(o.folder, "idx", reading);
}

} // namespace theta
