// Lambda function URLs: Lambda hands the function an event that describes an HTTP request, and
// makes an HTTP answer of its response.
//
// Source: AWS Lambda developer guide, "Request and response payloads" of function URLs (payload
// format version 2.0).
#pragma once

#include "lambdaml/faas/runtime.h"

namespace lambdaml::faas {

// A handler that also takes such events: the payload is the request's body; failures become an
// answer with status 500, because Lambda would not tell the caller what they are. Other payloads go
// to the handler as they are.
Handler TakeUrlEvents(Handler handler);

}  // namespace lambdaml::faas
