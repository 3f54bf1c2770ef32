# kernel.R --args CONNECTION_FILE: IRkernel (MIT) with what the gateway adds.
#
# - An execute_request's metadata {"kernelbridge": {"env": {NAME: VALUE}, "cwd": PATH}} holds for
#   that one run, and is undone exactly after it.
# - readline() is answered with "", as in any R without a terminal, where the client takes no
#   input requests. IRkernel asks all the same, and waits for ever.
# - What is printed is kept in a file, not in a character vector that grows line by line: 1e5 lines
#   take half a second, not 40. It is sent as it was printed, and from within a loop too (at most
#   every 50 ms), where `cat` or `print` were called.
#
# The code sees nothing of this but the bodies of `cat` and `print`. Stands on IRkernel 1.3 and evaluate
# 0.15 to 0.23; where another evaluate captures in another way, it is left as it is.

base::local({

# apply_run(list(env = , cwd = )): set both. Returns the function that takes them back; where one
# cannot be set, the error, with everything taken back.
apply_run <- function(ours) {
	undo <- list()
	back <- function() for (one in rev(undo)) one()
	keep <- function(one) undo[[length(undo) + 1L]] <<- one
	tryCatch({
		if (!is.null(ours$cwd)) {
			was <- setwd(ours$cwd)
			keep(function() if (!is.null(was)) setwd(was))
		}
		for (name in names(ours$env))
			keep(set_variable(name, ours$env[[name]]))
		back
	}, error = function(e) {
		back()
		e
	})
}

# Returns what puts the variable back.
set_variable <- function(name, value) {
	force(name)
	if (!is.character(value) || length(value) != 1L)
		stop("environment variable ", name, ": the value must be a string")
	was <- Sys.getenv(name, NA, names = FALSE)
	if (!all(do.call(Sys.setenv, structure(list(value), names = name))))
		stop("environment variable ", name, " cannot be set")
	function() {
		if (is.na(was))
			Sys.unsetenv(name)
		else
			do.call(Sys.setenv, structure(list(was), names = name))
	}
}

# The same as evaluate's, with a file in place of a textConnection.
watchout <- function(debug = FALSE) {
	con <- file("", "w+b")
	sink(con, split = debug)
	list(
		get_new = function(plot = FALSE, incomplete_plots = FALSE, text_callback = identity,
		                   graphics_callback = identity) {
			out <- list()
			if (plot) {
				out$graphics <- evaluate:::plot_snapshot(incomplete_plots)
				if (!is.null(out$graphics))
					graphics_callback(out$graphics)
			}
			text <- everything(con)
			if (nzchar(text)) {
				out$text <- text
				text_callback(text)
			}
			unname(out)
		},
		pause = function() sink(),
		unpause = function() sink(con, split = debug),
		close = function() {
			if (!isOpen(con))
				stop("something bad happened... did you use closeAllConnections()?")
			sink()
			close(con)
			character()
		},
		get_con = function() con
	)
}

# What was written to con since the last call, as one string.
everything <- function(con) {
	parts <- list()
	repeat {
		part <- readBin(con, "raw", 1048576L)
		if (!length(part))
			break
		parts[[length(parts) + 1L]] <- part
	}
	text <- rawToChar(as.raw(unlist(lapply(parts, function(p) p[p != 0L]))))
	Encoding(text) <- "UTF-8"
	if (validUTF8(text)) text else iconv(text, "UTF-8", "UTF-8", sub = "\ufffd")
}

# Make base's function called name end with a look whether it is time to send what was printed.
with_tick <- function(name, tick) {
	plain <- get(name, baseenv())
	ticking <- plain
	body(ticking) <- call("{", call("on.exit", as.call(list(tick))), body(plain))
	IRkernel:::replace_in_package("base", name, ticking)
}

send_from_loops <- function() {
	last <- 0
	busy <- FALSE
	tick <- function() {
		now <- proc.time()[[3L]]
		if (now - last < 0.05 || busy || sink.number() != 1L)
			return()
		busy <<- TRUE
		on.exit(busy <<- FALSE)
		evaluate::flush_console()
		last <<- proc.time()[[3L]]
	}
	with_tick("cat", tick)
	with_tick("print", tick)
}

improve <- function(executor) {
	methods <- as.environment(executor)
	plain <- list(execute = executor$execute, readline = executor$readline)
	put <- function(name, value) {
		if (bindingIsLocked(name, methods))
			unlockBinding(name, methods)
		assign(name, value, envir = methods)
	}
	put("execute", function(request) {
		back <- apply_run(request$metadata$kernelbridge)
		if (is.function(back))
			on.exit(back())
		else
			request$content$code <-
				paste0("stop(", encodeString(conditionMessage(back), quote = '"'), ", call. = FALSE)")
		plain$execute(request)
	})
	put("readline", function(prompt = "") {
		if (isTRUE(executor$current_request$content$allow_stdin))
			return(plain$readline(prompt))
		cat(prompt, "\n", sep = "")
		""
	})
}

kernel <- IRkernel:::Kernel$new(connection_file = commandArgs(TRUE)[[1L]])
improve(kernel$executor)
if (exists("watchout", asNamespace("evaluate")) &&
    identical(formals(evaluate:::watchout), as.pairlist(alist(debug = FALSE)))) {
	environment(watchout) <- environment()
	utils::assignInNamespace("watchout", watchout, "evaluate")
	send_from_loops()
}
kernel$run()

}, envir = base::new.env(parent = base::baseenv()))
