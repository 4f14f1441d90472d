# Writes HIL_BUILD_ID into OUT, touching it only when it changed. Run with -DROOT= -DOUT=.
execute_process(COMMAND git -C ${ROOT} describe --always --dirty
  OUTPUT_VARIABLE id OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE rc)
if(NOT rc EQUAL 0 OR id STREQUAL "")
  set(id unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define HIL_BUILD_ID \"${id}\"\n")
