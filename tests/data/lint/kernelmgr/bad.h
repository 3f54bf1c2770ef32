/* The other folder. */
enum kind { KIND_BASH };
