#include "lambdaml/deploy/destroy.h"

#include <fmt/format.h>

#include "lambdaml/aws/cloud_formation.h"
#include "lambdaml/base/error.h"
#include "lambdaml/deploy/stack_parameters.h"
#include "lambdaml/store/open_store.h"

namespace lambdaml::deploy {

std::optional<Doomed> FindDoomed(const aws::Session& session, const std::string& stack,
                                 const base::Deadline& deadline) {
  aws::CloudFormation service(session);
  std::optional<aws::Stack> found = service.Describe(stack, deadline);
  if (!found) return std::nullopt;
  if (IsInProgress(found->status) && found->status != "DELETE_IN_PROGRESS") {
    throw base::Error(
        base::ErrorCode::kAlreadyExists,
        fmt::format("the stack {} is {}: wait until that has ended", stack, found->status));
  }
  Doomed doomed = {.stack_id = found->id,
                   .status = found->status,
                   .objects_url = {},
                   .object_count = 0,
                   .owns_bucket = found->parameters[kBucketParameter].empty()};
  const std::string& bucket = found->outputs[kBucketOutput];
  if (bucket.empty()) return doomed;  // it was never made
  const std::string folder =
      doomed.owns_bucket ? "" : fmt::format("/{}", found->parameters[kPrefixParameter]);
  doomed.objects_url = fmt::format("s3://{}{}?region={}", bucket, folder, aws::RegionOf(session));
  try {
    doomed.object_count = store::OpenStore(doomed.objects_url)->List("", deadline).size();
  } catch (const base::Error& error) {
    if (error.code() != base::ErrorCode::kNotFound) throw;  // an earlier attempt got that far
  }
  return doomed;
}

void Destroy(const aws::Session& session, const Doomed& doomed, const Console& console,
             const base::Deadline& deadline) {
  if (doomed.object_count > 0) {
    console.show(fmt::format("deleting {} objects", doomed.object_count));
    store::OpenStore(doomed.objects_url)->DeletePrefix("", deadline);
  }
  aws::CloudFormation service(session);
  StackFollower follower(service, console);
  follower.Begin(doomed.stack_id, deadline);
  service.DeleteStack(doomed.stack_id, deadline);
  follower.Follow(doomed.stack_id, deadline);  // by its id, a deleted stack is found for 90 days
}

}  // namespace lambdaml::deploy
