#include "client.h"

int main(void) {
    return hil_client_main();
}
