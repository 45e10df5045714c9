/*
 * Lets samba(8) listen on other ports than the fixed ones of LDAP. Preloaded into it, this library binds the
 * ports 389, 636, 3268 and 3269 to those that PORT_389, PORT_636, PORT_3268 and PORT_3269 name in the environment.
 *
 * From the local port of a connection Samba tells whether TLS starts at once and whether it is one to the global
 * catalogue. Therefore getsockname() says the fixed port again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const unsigned short fixed_ports[] = {389, 636, 3268, 3269};

static unsigned short moved_port(unsigned short fixed) {
    char name[16];
    snprintf(name, sizeof name, "PORT_%hu", fixed);
    const char *value = getenv(name);
    return value ? (unsigned short)atoi(value) : 0;
}

static in_port_t *port_of(struct sockaddr *address) {
    switch (address->sa_family) {
    case AF_INET:
        return &((struct sockaddr_in *)address)->sin_port;
    case AF_INET6:
        return &((struct sockaddr_in6 *)address)->sin6_port;
    default:
        return NULL;
    }
}

int bind(int socket, const struct sockaddr *address, socklen_t length) {
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
    struct sockaddr_storage copy;
    if (length > sizeof copy)
        return next(socket, address, length);
    memcpy(&copy, address, length);
    in_port_t *port = port_of((struct sockaddr *)&copy);
    for (size_t i = 0; port && i < sizeof fixed_ports / sizeof *fixed_ports; i++) {
        unsigned short moved = moved_port(fixed_ports[i]);
        if (moved && *port == htons(fixed_ports[i])) {
            *port = htons(moved);
            break;
        }
    }
    return next(socket, (struct sockaddr *)&copy, length);
}

int getsockname(int socket, struct sockaddr *address, socklen_t *length) {
    int (*next)(int, struct sockaddr *, socklen_t *) = dlsym(RTLD_NEXT, "getsockname");
    int result = next(socket, address, length);
    in_port_t *port = result ? NULL : port_of(address);
    for (size_t i = 0; port && i < sizeof fixed_ports / sizeof *fixed_ports; i++) {
        unsigned short moved = moved_port(fixed_ports[i]);
        if (moved && *port == htons(moved)) {
            *port = htons(fixed_ports[i]);
            break;
        }
    }
    return result;
}
