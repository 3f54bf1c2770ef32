/* What tests/lint/neutral.py must find: four names that are code, none that is a comment.
 * ipykernel and Deno may be named here.
 */
static const char name[] = "python3";
int is_java_kernel; /* jjava */
static bool
odd(const char *s)
{
	return strcmp(s, "R") == 0;
}
static const char text[] = "/* Deno */";
