// Labelled images as files hold them, on their way to a Dataset. To add a data set: a function that reads it, and its
// line in data_sets() (dataset.cpp).
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
enum class Reading { labels, all };
using ReadImages = RawImages (*)(const DatasetOptions &, Reading);

RawImages read_fashion_mnist(const DatasetOptions &, Reading); // Debian's package, or a folder like it
RawImages read_idx_files(const DatasetOptions &, Reading);     // MNIST and its kin, plain or gzipped
RawImages read_cifar10(const DatasetOptions &, Reading);       // the binary versions
RawImages read_cifar100(const DatasetOptions &, Reading);
RawImages read_image_folder(const DatasetOptions &, Reading); // PNG, JPEG, BMP: image_folder.cpp

} // namespace theta
