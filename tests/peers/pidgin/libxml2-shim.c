/*
 * Lets Debian 12's pidgin-sipe read XML with Debian 12's libxml2 since 2.9.14+dfsg-1.3~deb12u2; changes neither.
 *
 * The plug-in hands libxml2 a table of SAX1 callbacks that is marked as one of SAX2. libxml2 used to go by the
 * callbacks; since that security update it goes by the mark, calls nothing, and every document comes out empty.
 * Preloaded (LD_PRELOAD), this takes the mark off such tables. Programs whose tables are right notice nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>

/* What stands in libxml2's <libxml/parser.h>, as far as it is needed: pointers up to the mark. */
#define SAX2_MAGIC 0xDEEDBEAF
struct handler {
	void *before_start_element[14];
	void *start_element;
	void *end_element;
	void *between[11];
	unsigned initialized;
	void *own;
	void *start_element_ns;
	void *end_element_ns;
	void *serror;
};

int xmlSAXUserParseMemory(struct handler *handler, void *user_data, const char *text, int size)
{
	static int (*real)(struct handler *, void *, const char *, int);
	struct handler plain;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "xmlSAXUserParseMemory");
	if (handler && handler->initialized == SAX2_MAGIC && (handler->start_element || handler->end_element) &&
	    !handler->start_element_ns && !handler->end_element_ns) {
		memcpy(&plain, handler, sizeof plain);
		plain.initialized = 1;
		handler = &plain;
	}
	return real(handler, user_data, text, size);
}
