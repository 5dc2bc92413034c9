// libcurl is loaded, with the forty libraries that it needs, when HTTP is first wanted.
#pragma once

namespace lambdaml::delayed {

// Before any other call of libcurl. Errors: kNotFound if it is not there.
void LoadCurl();

}  // namespace lambdaml::delayed
