/* The floor every decoder is measured against: libpcap reading each packet and doing nothing with it. */
#include <pcap/pcap.h>
#include <stdio.h>

int main(int argc, char **argv) {
    char error[PCAP_ERRBUF_SIZE];
    struct pcap_pkthdr *header;
    const u_char *data;
    unsigned long packets = 0, bytes = 0;
    pcap_t *file = argc == 2 ? pcap_open_offline(argv[1], error) : NULL;
    if (!file) {
        return 2;
    }
    while (pcap_next_ex(file, &header, &data) == 1) {
        packets++;
        bytes += header->caplen;
    }
    pcap_close(file);
    printf("%lu %lu\n", packets, bytes);
    return 0;
}
