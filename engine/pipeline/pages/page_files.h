// `theta report`: pages of runs, as files, and as long as somebody looks at them.
#pragma once
#include "data/json_forward.h"
#include <filesystem>
#include <vector>

namespace theta {

// Of a run's folder (of a family's: of all its members), of the file of a page's data, or of a record: page_data.h.
std::vector<Json> pages_of(const std::vector<std::filesystem::path> &runs);

// Writes `page`, HTML, and beside it, of one run's folder, page.json, its data. Atomic.
void write_page(const std::vector<std::filesystem::path> &runs, const std::filesystem::path &page);

// Serves the page on 127.0.0.1, made anew when a file of a run has changed, until interrupted. Port 0: any that is
// free; `tell` is told which. Throws Error where the port cannot be had.
void serve_page(const std::vector<std::filesystem::path> &runs, int port, void (*tell)(int port));

} // namespace theta
