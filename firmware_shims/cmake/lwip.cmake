# lwIP as a static library `hil_lwip`: IPv4, raw API, no operating system. Options are in net/lwipopts.h.
# HIL_LWIP_PPP (set by the board before): with PPP, which HIL_NET_PPP among its definitions switches on.
set(HIL_LWIP ${HIL_LIB_SOURCES}/lwip/src)
set(HIL_LWIP_CORE ${HIL_LWIP}/core)
add_library(hil_lwip STATIC
  ${HIL_LWIP_CORE}/init.c ${HIL_LWIP_CORE}/def.c ${HIL_LWIP_CORE}/dns.c ${HIL_LWIP_CORE}/inet_chksum.c
  ${HIL_LWIP_CORE}/ip.c ${HIL_LWIP_CORE}/mem.c ${HIL_LWIP_CORE}/memp.c ${HIL_LWIP_CORE}/netif.c
  ${HIL_LWIP_CORE}/pbuf.c ${HIL_LWIP_CORE}/stats.c ${HIL_LWIP_CORE}/sys.c ${HIL_LWIP_CORE}/tcp.c
  ${HIL_LWIP_CORE}/tcp_in.c ${HIL_LWIP_CORE}/tcp_out.c ${HIL_LWIP_CORE}/timeouts.c ${HIL_LWIP_CORE}/udp.c
  ${HIL_LWIP_CORE}/ipv4/dhcp.c ${HIL_LWIP_CORE}/ipv4/etharp.c ${HIL_LWIP_CORE}/ipv4/icmp.c
  ${HIL_LWIP_CORE}/ipv4/ip4.c ${HIL_LWIP_CORE}/ipv4/ip4_addr.c ${HIL_LWIP_CORE}/ipv4/ip4_frag.c
  ${HIL_LWIP}/netif/ethernet.c)
if(HIL_LWIP_PPP)
  foreach(source auth fsm ipcp lcp magic ppp pppos utils)
    target_sources(hil_lwip PRIVATE ${HIL_LWIP}/netif/ppp/${source}.c)
  endforeach()
endif()
target_include_directories(hil_lwip SYSTEM PUBLIC ${HIL_LWIP}/include ${HIL_ROOT}/net)
target_link_libraries(hil_lwip PRIVATE hil_board_flags)
