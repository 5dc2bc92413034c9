// The Lambda API of the local platform, as AWS's API reference describes these operations:
//   POST /2015-03-31/functions/{name}/invocations     Invoke
//   GET  /2015-03-31/functions/                       ListFunctions
//   GET  /2015-03-31/functions/{name}                 GetFunction
//   GET  /2015-03-31/functions/{name}/configuration   GetFunctionConfiguration
#pragma once

#include <map>
#include <memory>
#include <string>

#include "lambdaml/faas/event_loop.h"
#include "lambdaml/faas/http_server.h"
#include "lambdaml/faas/local_function.h"

namespace lambdaml::faas {

using FunctionMap = std::map<std::string, std::unique_ptr<LocalFunction>, std::less<>>;

// Threads: the loop's.
class InvokeApi {
 public:
  // `functions` must outlive the API and may change meanwhile.
  InvokeApi(EventLoop& loop, const FunctionMap& functions);

  const std::string& endpoint() const { return server_.endpoint(); }

 private:
  void OnRequest(const HttpRequest& request, const HttpServer::Respond& respond) const;
  void Describe(const HttpRequest& request, const HttpServer::Respond& respond) const;
  void Invoke(LocalFunction& function, const HttpRequest& request,
              const HttpServer::Respond& respond) const;

  const FunctionMap& functions_;
  HttpServer server_;
};

}  // namespace lambdaml::faas
