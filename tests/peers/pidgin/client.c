/*
 * A libpurple program without a user interface: signs one account in over pidgin-sipe, says what became of it, stays
 * for a while, signs out.
 *
 * What it says, one line each:
 *   signed-on                     the account is connected
 *   error CLASS: WORDS            libpurple's class and the plug-in's words; the program ends with 1
 *   signed-off                    the account is disconnected, as asked
 *   timeout                       neither came in time; the program ends with 2
 *
 * It is a client of the lab like any other: whatever it needs to know it is told on its command line.
 */
#include <glib.h>
#include <purple.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *option_server, *option_transport, *option_auth, *option_ca, *option_user, *option_password, *option_home,
	*option_agent;
static int option_within = 60, option_stay = 0;
static gboolean option_verbose;

static GOptionEntry options[] = {
	{"server", 0, 0, G_OPTION_ARG_STRING, &option_server, "Front end as HOST or HOST:PORT; without it, autodiscover", "HOST"},
	{"transport", 0, 0, G_OPTION_ARG_STRING, &option_transport, "auto, tls or tcp (auto)", "WORD"},
	{"authentication", 0, 0, G_OPTION_ARG_STRING, &option_auth, "tls-dsk or auto (tls-dsk)", "WORD"},
	{"ca", 0, 0, G_OPTION_ARG_FILENAME, &option_ca, "Root certificates to trust beside the system's (PEM)", "FILE"},
	{"user", 0, 0, G_OPTION_ARG_STRING, &option_user, "Sign-in name: alice@contoso.example", "NAME"},
	{"password", 0, 0, G_OPTION_ARG_STRING, &option_password, "Its password", "WORD"},
	{"home", 0, 0, G_OPTION_ARG_FILENAME, &option_home, "An empty folder for libpurple's own files", "DIR"},
	{"user-agent", 0, 0, G_OPTION_ARG_STRING, &option_agent, "What it calls itself in SIP and HTTP (lab-peer)", "WORD"},
	{"within", 0, 0, G_OPTION_ARG_INT, &option_within, "Seconds until signed on (60)", "N"},
	{"stay", 0, 0, G_OPTION_ARG_INT, &option_stay, "Seconds to stay signed on (0)", "N"},
	{"verbose", 'v', 0, G_OPTION_ARG_NONE, &option_verbose, "libpurple's own log on stderr", NULL},
	{NULL}};

static GMainLoop *loop;
static int ending = 2;

/* libpurple waits for sockets through whatever loop its user interface has; here it is GLib's. */
struct watch {
	PurpleInputFunction call;
	gpointer data;
};

static gboolean watched(GIOChannel *channel, GIOCondition condition, gpointer data)
{
	struct watch *watch = data;
	PurpleInputCondition ready = 0;
	if (condition & (G_IO_IN | G_IO_HUP | G_IO_ERR))
		ready |= PURPLE_INPUT_READ;
	if (condition & (G_IO_OUT | G_IO_HUP | G_IO_ERR | G_IO_NVAL))
		ready |= PURPLE_INPUT_WRITE;
	watch->call(watch->data, g_io_channel_unix_get_fd(channel), ready);
	return TRUE;
}

static guint input_add(gint fd, PurpleInputCondition condition, PurpleInputFunction call, gpointer data)
{
	struct watch *watch = g_new0(struct watch, 1);
	GIOCondition wanted = G_IO_HUP | G_IO_ERR | G_IO_NVAL;
	watch->call = call;
	watch->data = data;
	if (condition & PURPLE_INPUT_READ)
		wanted |= G_IO_IN;
	if (condition & PURPLE_INPUT_WRITE)
		wanted |= G_IO_OUT;
	GIOChannel *channel = g_io_channel_unix_new(fd);
	guint source = g_io_add_watch_full(channel, G_PRIORITY_DEFAULT, wanted, watched, watch, g_free);
	g_io_channel_unref(channel);
	return source;
}

static PurpleEventLoopUiOps loop_ops = {
	.timeout_add = g_timeout_add,
	.timeout_remove = g_source_remove,
	.input_add = input_add,
	.input_remove = g_source_remove,
	.timeout_add_seconds = g_timeout_add_seconds,
};

static void say(const char *text)
{
	puts(text);
	fflush(stdout);
}

static void end(int status)
{
	ending = status;
	g_main_loop_quit(loop);
}

static const char *class_of(PurpleConnectionError why)
{
	static const char *const classes[] = {
		"network-error", "invalid-username", "authentication-failed", "authentication-impossible",
		"no-ssl-support", "encryption-error", "name-in-use", "invalid-settings", "cert-not-provided",
		"cert-untrusted", "cert-expired", "cert-not-activated", "cert-hostname-mismatch",
		"cert-fingerprint-mismatch", "cert-self-signed", "cert-other-error"};
	return (unsigned)why < G_N_ELEMENTS(classes) ? classes[why] : "other-error";
}

static void report_disconnect(PurpleConnection *connection, PurpleConnectionError why, const char *text)
{
	(void)connection;
	printf("error %s: %s\n", class_of(why), text);
	fflush(stdout);
	end(1);
}

static PurpleConnectionUiOps connection_ops = {.report_disconnect_reason = report_disconnect};

static gboolean sign_out(gpointer data)
{
	purple_account_disconnect(data);
	return FALSE;
}

static void signed_on(PurpleConnection *connection)
{
	say("signed-on");
	/* What follows the sign-on, such as subscriptions, goes out first. */
	g_timeout_add_seconds(option_stay > 0 ? option_stay : 1, sign_out, purple_connection_get_account(connection));
}

static gboolean leave(gpointer data)
{
	(void)data;
	end(0);
	return FALSE;
}

static void signed_off(PurpleConnection *connection)
{
	(void)connection;
	if (ending == 1)
		return;
	say("signed-off");
	/* The plug-in de-registers and closes without waiting; its last octets leave with the next turn of the loop. */
	g_timeout_add(300, leave, NULL);
}

static gboolean late(gpointer data)
{
	PurpleAccount *account = data;
	if (!purple_account_is_connected(account)) {
		say("timeout");
		end(2);
	}
	return FALSE;
}

/* A root that only this run trusts; it goes where the system's roots are, in memory. */
static gboolean trust(const char *file)
{
	PurpleCertificateScheme *x509 = purple_certificate_find_scheme("x509");
	PurpleCertificatePool *roots = purple_certificate_find_pool("x509", "ca");
	GSList *list = x509 ? purple_certificates_import(x509, file) : NULL;
	gboolean done = list && roots;
	for (GSList *each = list; done && each; each = each->next) {
		PurpleCertificate *root = each->data;
		gchar *name = purple_certificate_get_unique_id(root);
		done = purple_certificate_pool_store(roots, name, root);
		g_free(name);
	}
	return done;
}

static int fail(const char *text)
{
	fprintf(stderr, "%s\n", text);
	return 3;
}

int main(int argc, char **argv)
{
	GError *error = NULL;
	GOptionContext *context = g_option_context_new("- signs in over pidgin-sipe");
	g_option_context_add_main_entries(context, options, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		return fail(error->message);
	if (!option_user || !option_password || !option_home)
		return fail("--user, --password and --home are needed");
	signal(SIGPIPE, SIG_IGN);

	purple_util_set_user_dir(option_home);
	purple_debug_set_enabled(option_verbose);
	purple_debug_set_verbose(option_verbose);
	purple_eventloop_set_ui_ops(&loop_ops);
	purple_connections_set_ui_ops(&connection_ops);
	loop = g_main_loop_new(NULL, FALSE);
	if (!purple_core_init("lab-peer"))
		return fail("libpurple does not start");
	purple_set_blist(purple_blist_new());
	if (option_ca && !trust(option_ca))
		return fail("the root certificates cannot be read");
	if (!purple_find_prpl("prpl-sipe"))
		return fail("pidgin-sipe is not installed");

	/* A sign-in name and a login name, with a comma between; the second is empty here. */
	gchar *name = g_strdup_printf("%s,", option_user);
	PurpleAccount *account = purple_account_new(name, "prpl-sipe");
	purple_account_set_password(account, option_password);
	purple_account_set_string(account, "server", option_server ? option_server : "");
	purple_account_set_string(account, "transport", option_transport ? option_transport : "auto");
	purple_account_set_string(account, "authentication", option_auth ? option_auth : "tls-dsk");
	/*
	 * Its length matters: libpurple's send buffer (purple_circ_buffer) loses its place when a message ends just where
	 * the buffer does, every 256 octets, and a longer one follows. It then repeats itself for ever, and the pool
	 * hangs up. With the plug-in's own name for itself the first REGISTER of some users does just that.
	 */
	purple_account_set_string(account, "useragent", option_agent ? option_agent : "lab-peer");
	/* Calendars live on a mail server, which a lab has not. */
	purple_account_set_bool(account, "dont-publish", TRUE);

	static int handle;
	void *connections = purple_connections_get_handle();
	purple_signal_connect(connections, "signed-on", &handle, PURPLE_CALLBACK(signed_on), NULL);
	purple_signal_connect(connections, "signed-off", &handle, PURPLE_CALLBACK(signed_off), NULL);
	g_timeout_add_seconds(option_within, late, account);

	purple_accounts_add(account);
	purple_account_set_enabled(account, "lab-peer", TRUE);
	purple_savedstatus_activate(purple_savedstatus_new(NULL, PURPLE_STATUS_AVAILABLE));
	g_main_loop_run(loop);
	return ending;
}
