SELECT 1;  -- to be written
