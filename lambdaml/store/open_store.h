// Stores by URL. Which there are stands in one table, in open_store.cc.
#pragma once

#include <memory>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/store/store.h"

namespace lambdaml::store {

// Opens the store a URL names: file:///dir, or a plain path for a folder of this machine. A service
// that has not answered yet may stay away for `first_contact_max`: by default as long as any other,
// as it may be starting anew just when a worker comes.
// Errors: kInvalidArgument, listing the supported schemes, if the URL's is none of them.
std::unique_ptr<Store> OpenStore(const std::string& url,
                                 base::Duration first_contact_max = net::kOutageMax);

}  // namespace lambdaml::store
