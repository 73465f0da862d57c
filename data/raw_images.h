// Labelled images as files hold them, on their way to a Dataset. To add a data set: a function that reads it, and its
// line in data_sets() (dataset.cpp), or, outside of this folder, the line
//   const bool added = theta::add_data_set("name", read_mine);
#pragma once
#include "dataset.h"

namespace theta {

struct RawImages {
  std::string name; // what the facts of a zoo call it
  int side = 0, channels = 1, classes = 0;
  Images train, test;      // without pixels where only labels were asked for
  std::size_t skipped = 0; // files that could not be read
  std::string first_skipped;
};

// What is read: labels alone are enough to plan with.
enum class WhatIsRead { labels, all };
using ReadImages = RawImages (*)(const DatasetOptions &, WhatIsRead);

bool add_data_set(std::string name, ReadImages); // true

RawImages read_fashion_mnist(const DatasetOptions &, WhatIsRead); // Debian's package, or a folder like it
RawImages read_idx_files(const DatasetOptions &, WhatIsRead);     // MNIST and its kin, plain or gzipped
RawImages read_cifar10(const DatasetOptions &, WhatIsRead);       // the binary versions
RawImages read_cifar100(const DatasetOptions &, WhatIsRead);
RawImages read_image_folder(const DatasetOptions &, WhatIsRead); // PNG, JPEG, BMP: image_folder.cpp

} // namespace theta
