-- The most sessions that one script removes.
local SLICE = 25
