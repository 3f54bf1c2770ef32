// bash
int may_go; /* IRkernel answers nothing on control */
int javac, node, pythonic;
