// Places: what a user names to be read or written, on this machine or in a store.
//
// A place is a path (file:///path is one too), or the URL of an object in a store:
// s3://bucket/folder/name[?region=…&endpoint=…]. A name must be a key of stores (store/key.h).
#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

namespace lambdaml::place {

// Whether it is a path of this machine.
bool IsLocal(std::string_view place);

// The path of a local place.
std::string PathOf(std::string_view place);

// The last component, without folders and parameters: "higgs.libsvm"; "" if there is none.
std::string NameOf(std::string_view place);

// The folder that holds an object, as the URL of a store, and the object's key in it.
// Errors: kInvalidArgument if the URL names no object, only a bucket or a folder.
struct ObjectPlace {
  std::string folder_url;
  std::string key;
};
ObjectPlace SplitObjectUrl(std::string_view url);

// The bytes of a file or an object. Errors: kNotFound, kPermissionDenied; those of the store.
base::Blob Read(const std::string& place);

// Writes a file or an object whole or not at all. Errors: those of WriteFileAtomic and of the
// store.
void Write(const std::string& place, base::ByteSpan bytes);

// Fails as Write would for a reason that can be known before there are any bytes: a missing folder
// or bucket, no permission. An object store is asked to take an object beside the place, which is
// deleted again.
void CheckWritable(const std::string& place);

}  // namespace lambdaml::place
