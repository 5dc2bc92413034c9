// The methods of ps.thrift, for one connection.
#pragma once

#include <memory>

#include "lambdaml/ps/service.h"

namespace apache::thrift {
class TProcessor;
}  // namespace apache::thrift

namespace lambdaml::ps {

// With a token, everything but `hello` is refused until the connection has said it. `service` must
// outlive the processor. Threads: one.
std::shared_ptr<apache::thrift::TProcessor> MakeProcessor(Service& service);

}  // namespace lambdaml::ps
