// The library that module.cc needs.
int Needed();
int Needed() { return 1; }
