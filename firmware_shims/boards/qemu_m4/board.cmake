set(HIL_BOARD_DIR ${HIL_ROOT}/boards/qemu_m4)
set(HIL_CORTEXM_CPU -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16)
include(${HIL_ROOT}/boards/cmsdk/cmsdk.cmake)
