set(HIL_BOARD_DIR ${HIL_ROOT}/boards/qemu_m33)
set(HIL_CORTEXM_CPU -mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16)
include(${HIL_ROOT}/boards/cmsdk/cmsdk.cmake)
