#include "lambdaml/data/layout.h"

namespace lambdaml::data {

std::string_view LayoutName(Layout layout) {
  switch (layout) {
    case Layout::kDense:
      return "dense";
    case Layout::kSparse:
      return "sparse";
    case Layout::kAuto:
      break;
  }
  return "auto";
}

std::optional<Layout> LayoutFromName(std::string_view name) {
  for (const Layout layout : {Layout::kAuto, Layout::kDense, Layout::kSparse}) {
    if (LayoutName(layout) == name) return layout;
  }
  return std::nullopt;
}

}  // namespace lambdaml::data
