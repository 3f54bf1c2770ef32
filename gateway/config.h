/* gateway/config.h - CORE: every setting, from one table.
 *
 * Defaults < `--config FILE` < environment KERNELBRIDGE_KEY < `--key=value`.  A variable that is
 * empty counts as not set, as in a shell's ${NAME:-}, unless the key's value may be empty.  The
 * table feeds the parser, --help, --print-config, --check-config and configs/kernelbridge.cfg.
 */
#ifndef GW_CONFIG_H
#define GW_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct err;

/* In the order of the table; strings and NULL-terminated lists are owned by the struct.
 * Read only. */
struct gw_config {
	char **allow_hosts;
	char **allow_origins;
	char *auth;
	uint64_t command_log_bytes;
	uint64_t drain_ms;
	char *e2b_domain; /* "": none */
	uint64_t event_high_bytes;
	uint64_t event_log_bytes;
	uint64_t idle_timeout_ms;
	bool insecure;
	uint64_t interrupt_grace_ms;
	uint64_t keep_executions;
	uint64_t keep_executions_bytes;
	uint64_t keep_executions_ms;
	uint64_t kernel_buffer_bytes;
	char *languages_file; /* "": the built-in table */
	char *launcher;
	char **listen;
	char *log_format;
	char *log_level;
	uint64_t max_body_bytes;
	uint64_t max_commands;
	uint64_t max_connections;
	uint64_t max_contexts;
	uint64_t max_header_bytes;
	uint64_t max_kernel_message_bytes;
	uint64_t max_message_bytes;
	uint64_t max_output_bytes;
	uint64_t max_queue;
	uint64_t max_sandboxes;
	uint64_t max_upload_bytes;
	uint64_t ping_every_ms;
	uint64_t pool_bytes;
	uint64_t pool_python;
	char *prefix;
	uint64_t send_high_bytes;
	uint64_t send_low_bytes;
	uint64_t start_timeout_ms;
	char *state_dir;
	uint64_t stop_grace_ms;
	bool strict_policies;
	char *token_file; /* "": token in state_dir */
	char **zygote_preload;
};

/* argv after the program's name and verb; options are --key=value or --key value, --config
 * FILE first or anywhere.  Reads the environment.  Returns 0 with *ret owned by the caller,
 * or -EINVAL with err naming the key (with the nearest known one), the value and what was
 * expected, and file:line for a file. */
int gw_config_load(int argc, char **argv, struct gw_config **ret, struct err *err);
void gw_config_free(struct gw_config *cfg);

/* Name of the first key that cannot be changed by a reload and differs, or NULL. */
const char *gw_config_fixed_difference(const struct gw_config *a, const struct gw_config *b);

/* The whole configuration file with comments: what --print-config prints. */
void gw_config_print(const struct gw_config *cfg, struct buf *b);
/* One line per key with default and range: what --help prints. */
void gw_config_help(struct buf *b);

#endif /* GW_CONFIG_H */
