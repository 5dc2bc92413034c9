// A module that is loaded by name while a program runs.
int Needed();
int Module();
int Module() { return Needed(); }
