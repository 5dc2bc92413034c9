// Stores by URL. Which there are stands in one table, in open_store.cc.
#pragma once

#include <memory>
#include <string>

#include "lambdaml/store/store.h"

namespace lambdaml::store {

// Opens the store a URL names: file:///dir, or a plain path for a folder of this machine.
// Errors: kInvalidArgument, listing the supported schemes, if the URL's is none of them.
std::unique_ptr<Store> OpenStore(const std::string& url);

}  // namespace lambdaml::store
