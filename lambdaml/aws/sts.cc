#include "lambdaml/aws/sts.h"

#include "lambdaml/aws/query_client.h"

namespace lambdaml::aws {

CallerIdentity GetCallerIdentity(const Session& session, const base::Deadline& deadline) {
  QueryClient client(session, "sts", "2011-06-15");
  const QueryAnswer answer =
      client.Call({.action = "GetCallerIdentity", .operation = "check the credentials"}, deadline);
  return {.account = std::string(answer.result.Text("Account")),
          .arn = std::string(answer.result.Text("Arn"))};
}

}  // namespace lambdaml::aws
