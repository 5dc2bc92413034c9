// The smallest program to pack.
int main() { return 0; }
